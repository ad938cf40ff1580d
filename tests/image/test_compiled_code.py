"""Compiled code for instances: all of it, the same from wherever it is made, and used by the image's Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from image.test_packages_layer_build import lock, mirrors, store, store_with_debs
from invar.core.events import Report
from invar.debian.lock import Lock
from invar.debian.mirrors import Mirrors
from invar.debian.provision import fetch_and_unpack
from invar.image.compiled_code import compiled_code, python_packages
from invar.image.instance_files import CODE, own_code
from invar.sandbox.removal import remove_tree
from invar.sandbox.session import Session
from invar.sandbox.spec import Command, Overlay
from invar.store.objects import Store

__all__ = ["lock", "mirrors", "store"]

pytestmark = pytest.mark.build

COMPILES_NOTHING = """
import sys
sys.path.insert(0, "/usr/lib/invar")
import invar.machine.switch_verbs, invar.machine.proof, invar.machine.init
from invar.nix import Evaluator, call, force
from invar.nixos.places import LIBRARY
sys.modules["invar.nix.compiler"] = None
library = Evaluator(cache_dir="/tmp/code").import_file(str(LIBRARY / "lib"))
print(call(force(library["toUpper"]), "nothing"))
"""


@pytest.fixture(scope="module")
def made(lock: Lock, store: Store, mirrors: Mirrors) -> dict[str, bytes]:
    return compiled_code(own_code(), lock, store, mirrors, Report())


def test_every_source_has_its_compiled_form(made: Mapping[str, bytes]) -> None:
    code = own_code()
    modules = {path.removesuffix(".py") for path in code if path.endswith(".py")}
    compiled = {path.partition(".cpython-")[0].replace("__pycache__/", "") for path in made if path.endswith(".pyc")}
    assert compiled == modules
    nix = {content for path, content in code.items() if path.startswith("nixos/") and path.endswith(".nix")}
    assert len([path for path in made if path.endswith(".nixc")]) == len(nix)
    assert len(made) == len(modules) + len(nix) + 1, "and the compiler's revision"


def test_it_is_the_same_from_wherever_it_is_made(
    made: Mapping[str, bytes], lock: Lock, store: Store, mirrors: Mirrors, tmp_path: Path
) -> None:
    store_with_debs(tmp_path / "store", lock, store)
    other = Store(tmp_path / "store", remove=remove_tree)
    try:
        assert compiled_code(own_code(), lock, other, mirrors, Report()) == made
    finally:
        remove_tree(tmp_path / "store")


def test_pythons_packages_are_all_that_it_depends_on(lock: Lock) -> None:
    names = {package.name for package in python_packages(lock)}
    assert names >= {"base-files", "libc6", "python3", "python3-minimal"}
    assert "openssh-server" not in names and "systemd" not in names


def test_the_images_python_compiles_nothing_anew(
    made: Mapping[str, bytes], lock: Lock, store: Store, mirrors: Mirrors, tmp_path: Path
) -> None:
    for path, content in {**own_code(), **made}.items():
        place = tmp_path / "code" / CODE / "invar" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    debs = fetch_and_unpack(python_packages(lock), store, mirrors, Report(), date=lock.date)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Session(Overlay((tmp_path / "code", *(deb.data for deb in debs.values())), scratch)) as session:
        said = session.run(Command(("python3", "-IB", "-v", "-c", COMPILES_NOTHING)), check=False).output.decode()
    remove_tree(scratch)
    assert "NOTHING" in said.splitlines()
    from_source = [
        line for line in said.splitlines() if "code object from" in line and CODE in line and ".pyc" not in line
    ]
    assert from_source == []
    assert said.count(".pyc") > 100
