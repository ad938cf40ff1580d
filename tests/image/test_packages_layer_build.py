"""A packages layer out of real packages: what is in it, and that it is the same from wherever it is built."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.debian.deb import UnpackedDeb
from invar.debian.lock import Lock, write_lock
from invar.debian.mirrors import Mirrors, find_mirrors
from invar.debian.provision import fetch_and_unpack
from invar.debian.resolve import make_lock
from invar.image.compose import Composition, compose
from invar.image.configure import script_environment
from invar.image.layer import BLOCK, PackagesLayer
from invar.image.pack import MANIFEST
from invar.image.packages_layer import build_packages_layer, layer_key
from invar.image.tools import Tools, realise_tools, tool_requests
from invar.image.verity import verify
from invar.sandbox.identity import IDS_NEEDED, granted_ranges
from invar.sandbox.removal import remove_tree
from invar.sandbox.spec import Bind
from invar.store.objects import Store

pytestmark = pytest.mark.build

REQUESTS = ("ca-certificates", "linux-image-cloud-amd64", "openssh-server", "python3-yaml", "sudo", "systemd-sysv")
SOURCES = Path(__file__).resolve().parent.parent.parent / "src"
KEPT_DEBS = "deb"

BUILD = """
import sys
from pathlib import Path
from invar.core.events import Report
from invar.debian.lock import read_lock
from invar.debian.mirrors import Mirrors
from invar.image.packages_layer import build_packages_layer
from invar.image.tools import realise_tools
from invar.sandbox.removal import remove_tree
from invar.store.objects import Store
lock = read_lock(Path(sys.argv[1]))
store, mirrors, report = Store(Path(sys.argv[2]), remove=remove_tree), Mirrors((), (), "nowhere"), Report()
print(build_packages_layer(lock, store, realise_tools(lock, store, mirrors, report), mirrors, report).layer.image)
"""


@pytest.fixture(scope="module")
def mirrors() -> Mirrors:
    """The host's, or the environment's."""
    return find_mirrors(environment=os.environ)


@pytest.fixture(scope="module")
def store(home: Home) -> Store:
    """The store that lives on between runs."""
    return Store(home.store, remove=remove_tree)


@pytest.fixture(scope="module")
def lock(store: Store, mirrors: Mirrors) -> Lock:
    """A small system, locked today."""
    requests = tool_requests("amd64")
    return make_lock(REQUESTS, requests, mirrors, store, Report(), origins={}, now=datetime.now(UTC))


@pytest.fixture(scope="module")
def tools(lock: Lock, store: Store, mirrors: Mirrors) -> Tools:
    """The lock's tools."""
    return realise_tools(lock, store, mirrors, Report())


@pytest.fixture(scope="module")
def built(lock: Lock, store: Store, mirrors: Mirrors, tools: Tools) -> PackagesLayer:
    """The layer."""
    return build_packages_layer(lock, store, tools, mirrors, Report())


@pytest.fixture(scope="module")
def manifest(built: PackagesLayer) -> dict[str, dict[str, object]]:
    """The layer's entries by path."""
    return read_manifest(built.layer.image)


def read_manifest(image: Path) -> dict[str, dict[str, object]]:
    """The manifest beside an image."""
    records = map(json.loads, (image.parent / MANIFEST).read_text().splitlines())
    return {record["path"]: record for record in records}


def differing_paths(one: Path, other: Path) -> list[str]:
    """What differs between two layers, path by path."""
    a, b = read_manifest(one), read_manifest(other)
    return [
        f"{path}: {a.get(path)} / {b.get(path)}" for path in sorted(a.keys() | b.keys()) if a.get(path) != b.get(path)
    ]


def assert_same(one: Path, other: Path) -> None:
    """Byte for byte, with the differing paths as the message."""
    same = one.read_bytes() == other.read_bytes()
    assert same, "\n".join(differing_paths(one, other)) or "the trees are the same, the file systems differ"


def store_with_debs(root: Path, lock: Lock, store: Store) -> Path:
    """A new store that holds nothing but the lock's .deb files."""
    (root / KEPT_DEBS).mkdir(parents=True)
    for package in lock.packages.values():
        source = store.path(KEPT_DEBS, package.sha256)
        (root / KEPT_DEBS / package.sha256).write_bytes(source.read_bytes())
    return root


def test_the_image_is_sealed(built: PackagesLayer) -> None:
    layer = built.layer
    assert layer.image.stat().st_size == layer.total_blocks * BLOCK
    verify(layer.image, layer.root_hash, layer.salt, layer.data_blocks)


def test_the_file_system_is_sound(built: PackagesLayer, tools: Tools, tmp_path: Path) -> None:
    image = tmp_path / "erofs"
    with built.layer.image.open("rb") as file:
        image.write_bytes(file.read(built.layer.data_blocks * BLOCK))
    tools.run(["fsck.erofs", "/image"], binds=[Bind(image, "/image")])


def test_the_kernel_and_its_modules_come_beside_it(built: PackagesLayer) -> None:
    modules = built.modules / "lib/modules" / built.kernel_version
    assert built.kernel.stat().st_size > 1 << 20
    assert (modules / "modules.dep").stat().st_size > 0
    assert list(modules.rglob("erofs.ko*"))


def test_every_package_and_its_programs_are_known(built: PackagesLayer, lock: Lock) -> None:
    assert set(built.packages) == set(lock.image)
    assert "/usr/bin/sudo" in built.programs["sudo"]
    assert "/usr/sbin/sshd" in built.programs["openssh-server"]
    assert "/usr/bin/awk" in built.programs["mawk"]


def test_programs_that_shims_covered_are_the_real_ones(manifest: dict[str, dict[str, object]]) -> None:
    for path in ("/usr/bin/systemctl", "/usr/bin/ssh-keygen", "/usr/bin/deb-systemd-helper"):
        assert int(str(manifest[path]["size"])) > 1000, path
    assert "/usr/sbin/policy-rc.d" not in manifest


def test_set_uid_programs_keep_their_bits(manifest: dict[str, dict[str, object]]) -> None:
    assert manifest["/usr/bin/sudo"]["mode"] == "4755"
    assert manifest["/etc/shadow"]["mode"] == "0640"
    assert manifest["/etc/shadow"]["gid"] == 42
    assert manifest["/usr/bin/ssh-agent"]["mode"] == "2755"
    assert manifest["/usr/bin/ssh-agent"]["gid"] == 117


def test_nothing_is_enabled_and_nothing_is_of_one_machine(manifest: dict[str, dict[str, object]]) -> None:
    links = [path for path, entry in manifest.items() if entry["type"] == "symlink"]
    assert [path for path in links if path.startswith("/etc/systemd/system/")] == []
    assert [path for path in manifest if path.startswith(("/var/", "/run/", "/boot/", "/tmp/"))] == []
    assert [path for path in manifest if "ssh_host_" in path] == []
    assert manifest["/etc/machine-id"]["size"] == 0


def test_certificates_and_byte_code_are_made(manifest: dict[str, dict[str, object]]) -> None:
    assert int(str(manifest["/etc/ssl/certs/ca-certificates.crt"]["size"])) > 100_000
    compiled = [path for path in manifest if path.startswith("/usr/lib/python3/dist-packages/yaml/__pycache__/")]
    assert compiled


def test_building_again_finds_it(
    lock: Lock, store: Store, mirrors: Mirrors, tools: Tools, built: PackagesLayer
) -> None:
    report = Report()
    assert build_packages_layer(lock, store, tools, mirrors, report) == built
    assert report.cached["packages layer"]


def test_what_is_left_out_is_part_of_the_identity(lock: Lock) -> None:
    assert layer_key(lock) != layer_key(lock, ("/usr/share/zoneinfo/*",))
    assert layer_key(lock, ("/a", "/b")) == layer_key(lock, ("/b", "/a"))


def test_another_directory_gives_the_same_bytes(built: PackagesLayer, lock: Lock, store: Store, tmp_path: Path) -> None:
    other = store_with_debs(tmp_path / "a rather different place", lock, store)
    write_lock(lock, tmp_path / "lock")
    argv = [sys.executable, "-c", BUILD, str(tmp_path / "lock"), str(other)]
    environment = {"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"], "TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    assert_same(built.layer.image, Path(done.stdout.strip()))


def test_an_ordinary_user_builds_the_same_bytes(built: PackagesLayer, lock: Lock, store: Store) -> None:
    if os.geteuid() != 0:
        pytest.skip("the layer was built by an ordinary user already; run the tests as root to compare")
    user, interpreter = ordinary_user()
    with tempfile.TemporaryDirectory(prefix="invar-test-", dir="/var/tmp") as name:
        place = Path(name)
        write_lock(lock, place / "lock")
        store_with_debs(place / "store", lock, store)
        for path in (place, *place.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)
        done = run_as(user, [interpreter, "-B", "-c", BUILD, str(place / "lock"), str(place / "store")])
        try:
            assert done.returncode == 0, done.stderr
            assert_same(built.layer.image, Path(done.stdout.strip()))
        finally:
            remove_tree(place / "store")


def test_another_clock_gives_the_same_bytes(
    built: PackagesLayer,
    lock: Lock,
    store: Store,
    mirrors: Mirrors,
    tools: Tools,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Maintainer scripts see a clock that is 400 days ahead: libfaketime is preloaded from the layer of shims."""
    fake = make_lock(("libfaketime",), (), mirrors, store, Report(), origins={}, now=datetime.now(UTC))
    unpacked = fetch_and_unpack([fake.packages["libfaketime"]], store, mirrors, Report())["libfaketime"]
    library = next(unpacked.data.rglob("libfaketime.so.1"))

    def compose_with_another_clock(debs: Mapping[str, UnpackedDeb], directory: Path) -> Composition:
        composition = compose(debs, directory)
        for path, content in {
            "usr/lib/another-clock.so": library.read_bytes(),
            "etc/ld.so.preload": b"/usr/lib/another-clock.so\n",
            "etc/faketimerc": b"+400d\n",
        }.items():
            target = composition.shims / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return composition

    def environment_of_scripts(epoch: int) -> dict[str, str]:
        return {**script_environment(epoch), "FAKETIME_DISABLE_SHM": "1", "NO_FAKE_STAT": "1"}

    monkeypatch.setattr("invar.image.packages_layer.compose", compose_with_another_clock)
    monkeypatch.setattr("invar.image.configure.script_environment", environment_of_scripts)
    other = Store(store_with_debs(tmp_path / "store", lock, store), remove=remove_tree)
    ahead = build_packages_layer(lock, other, tools, mirrors, Report())
    assert_same(built.layer.image, ahead.layer.image)


def test_a_failed_build_leaves_nothing(
    lock: Lock, store: Store, mirrors: Mirrors, tools: Tools, tmp_path: Path
) -> None:
    without_makers = Tools(tmp_path)
    excludes = ("/usr/share/never-built-before/*",)
    with pytest.raises(InvarError):
        build_packages_layer(lock, store, without_makers, mirrors, Report(), path_excludes=excludes)
    assert store.find("packages-layer", layer_key(lock, excludes)) is None
    assert list((store.root / ".tmp").iterdir()) == []


def ordinary_user() -> tuple[pwd.struct_passwd, str]:
    """A user with subordinate ids and a Python that this user may run; skips the test where there is none."""
    for user in pwd.getpwall():
        granted = granted_ranges(Path("/etc/subuid"), user.pw_name, user.pw_uid)
        if user.pw_uid == 0 or sum(count for _, count in granted) < IDS_NEEDED - 1:
            continue
        for interpreter in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
            try:
                works = run_as(user, [interpreter, "-B", "-c", "import invar.debian.fetch"]).returncode == 0
            except OSError:
                works = False
            if works:
                return user, interpreter
    pytest.skip("root has no ordinary user with subordinate ids and a readable Python of this version to become here")


def run_as(user: pwd.struct_passwd, argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program as a user, with this environment's Python packages."""
    path = f"{SOURCES}:{sysconfig.get_path('purelib')}"
    return subprocess.run(
        argv,
        cwd="/",
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
