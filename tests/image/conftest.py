"""Real tools, and one small system's image on them, for the tests of disks and formats."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from image.sample import MODULES, ROOT, build, system
from invar.core.events import Report
from invar.core.home import Home
from invar.debian.lock import read_lock, write_lock
from invar.debian.mirrors import find_mirrors
from invar.debian.resolve import make_lock
from invar.image.assemble import Image
from invar.image.erofs import build_erofs
from invar.image.layer import Layer, PackagesLayer
from invar.image.tools import Tools, realise_tools, tool_requests
from invar.image.verity import append_hash_tree
from invar.store.objects import Store


@pytest.fixture(scope="session")
def tools(home: Home) -> Tools:
    """Real tools, locked once for all runs of the tests."""
    store, report, path = Store(home.store), Report(), home.root / "tools.lock"
    if not path.exists():
        mirrors = find_mirrors(option=(), environment=os.environ, locked=())
        home.root.mkdir(parents=True, exist_ok=True)
        lock = make_lock(
            (), tool_requests("amd64"), mirrors, store, report, origins={}, now=datetime.now(UTC), architecture="amd64"
        )
        write_lock(lock, path)
    lock = read_lock(path)
    return realise_tools(lock, store, find_mirrors(option=(), environment=os.environ, locked=lock.mirrors), report)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> PackagesLayer:
    """A layer of a few files, a kernel and modules that are none: enough for a disk, not for a boot."""
    root = tmp_path_factory.mktemp("packages")
    image = root / "layer.img"
    image.write_bytes(build_erofs(ROOT, uuid=bytes(16), build_time=0))
    tree = append_hash_tree(image, b"salt")
    modules = root / "modules/lib/modules/6.12"
    modules.mkdir(parents=True)
    for name in MODULES:
        (modules / f"{name}.ko").write_bytes(name.encode())
    (modules / "modules.dep").write_text("".join(f"{name}.ko:\n" for name in MODULES))
    (modules / "modules.builtin").write_text("")
    kernel = root / "vmlinuz"
    kernel.write_bytes(b"kernel" * 50_000)
    layer = Layer("packages", "key", image, tree.data_blocks, tree.total_blocks, tree.root_hash, tree.salt)
    accounts = {"passwd": "root:x:0:0::/root:/bin/sh\n", "group": "root:x:0:\n", "shadow": "", "gshadow": ""}
    return PackagesLayer(layer, kernel, "6.12", root / "modules", accounts, {}, {})


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("assemble") / "store")


@pytest.fixture(scope="session")
def image(packages: PackagesLayer, tools: Tools, store: Store) -> Image:
    return build(system(), packages, tools, store)
