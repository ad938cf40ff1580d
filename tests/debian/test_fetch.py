"""Downloads end with the right bytes in the store, or with one error that names everything that is wrong."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from debian_archive import ArchiveBuilder, Mirror

from invar.core.errors import InvarError
from invar.core.events import Event, Progress, Report
from invar.debian import fetch as fetch_module
from invar.debian.fetch import fetch, fetch_each
from invar.debian.lock import LockedPackage
from invar.debian.mirrors import Mirrors
from invar.debian.provision import fetch_and_unpack
from invar.store.objects import Store


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, "FIRST_BACKOFF", 0.01)


def packages_of(archive: ArchiveBuilder, *names: str) -> list[LockedPackage]:
    """Packages of 300 kB of incompressible content each."""
    found = []
    for name in names:
        content = b"".join(hashlib.sha256(f"{name} {number}".encode()).digest() for number in range(10_000))
        path = archive.add(name, content=content)
        data = path.read_bytes()
        found.append(
            LockedPackage(
                name=name,
                version="1.0",
                architecture="all",
                path=str(path.relative_to(archive.base("trixie"))),
                sha256=hashlib.sha256(data).hexdigest(),
                size=len(data),
                suite="trixie",
            )
        )
    return found


def mirrors(*addresses: str) -> Mirrors:
    return Mirrors(addresses, addresses, source="the test")


def sound(packages: list[LockedPackage], found: dict[str, Path]) -> bool:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()} == {
        package.name: package.sha256 for package in packages
    }


def test_files_arrive_and_are_not_fetched_again(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "a", "b", "c")
    events: list[Event] = []
    assert sound(packages, fetch(packages, store, mirrors(mirror.address), Report(events.append)))
    assert len(mirror.requests) == 3
    total = sum(package.size for package in packages)
    assert [event for event in events if isinstance(event, Progress)][-1] == Progress("fetch", total, total, "bytes")
    report = Report()
    assert sound(packages, fetch(packages, store, mirrors(mirror.address), report))
    assert len(mirror.requests) == 3
    assert report.cached["fetch"]


def test_file_mirrors(archive: ArchiveBuilder, store: Store) -> None:
    packages = packages_of(archive, "a")
    assert sound(packages, fetch(packages, store, archive.mirrors, Report()))


def test_cut_connection_is_resumed_where_it_stopped(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "a")
    path = f"/{packages[0].path}"
    mirror.break_after[path] = 100_000
    assert sound(packages, fetch(packages, store, mirrors(mirror.address), Report()))
    assert mirror.requests == [(path, None), (path, "bytes=100000-")]


def test_mirror_without_ranges_starts_over(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "a")
    mirror.ranges = False
    mirror.break_after[f"/{packages[0].path}"] = 100_000
    assert sound(packages, fetch(packages, store, mirrors(mirror.address), Report()))


def test_what_an_earlier_run_received_is_kept(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "a")
    half = (archive.base("trixie") / packages[0].path).read_bytes()[:50_000]
    store.put_record("any", "thing", 1)
    (store.root / ".partial" / f"deb.{packages[0].sha256}").write_bytes(half)
    assert sound(packages, fetch(packages, store, mirrors(mirror.address), Report()))
    assert mirror.requests == [(f"/{packages[0].path}", "bytes=50000-")]
    assert not list((store.root / ".partial").iterdir())


def test_busy_mirror_is_tried_again(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "a")
    mirror.failing[f"/{packages[0].path}"] = 2
    assert sound(packages, fetch(packages, store, mirrors(mirror.address), Report()))
    assert len(mirror.requests) == 3


def test_next_mirror_has_what_the_first_has_not(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "a")
    empty = f"file://{store.root}"
    assert sound(packages, fetch(packages, store, mirrors(empty, mirror.address), Report()))


def test_altered_file_is_thrown_away_and_the_next_mirror_tried(
    archive: ArchiveBuilder, mirror: Mirror, store: Store
) -> None:
    packages = packages_of(archive, "a")
    mirror.replaced[f"/{packages[0].path}"] = b"x" * packages[0].size
    good = archive.mirrors.main[0]
    assert sound(packages, fetch(packages, store, mirrors(mirror.address, good), Report()))


@pytest.mark.parametrize("length", [0, 1000], ids=["same-length", "longer"])
def test_wrong_hash_everywhere_is_an_error_of_its_own(
    archive: ArchiveBuilder, mirror: Mirror, store: Store, length: int
) -> None:
    packages = packages_of(archive, "a", "b")
    mirror.replaced[f"/{packages[0].path}"] = b"x" * (packages[0].size + length)
    with pytest.raises(InvarError) as caught:
        fetch(packages, store, mirrors(mirror.address), Report())
    assert "SHA-256 is wrong" in caught.value.what
    assert caught.value.where == f"{mirror.address}/{packages[0].path}"
    assert store.find("deb", packages[0].sha256) is None
    assert store.find("deb", packages[1].sha256) is not None
    assert not list((store.root / ".partial").iterdir())


def test_all_that_is_gone_is_named_at_once(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "a", "b", "c")
    for package in packages[:2]:
        (archive.base("trixie") / package.path).unlink()
    with pytest.raises(InvarError) as caught:
        fetch(packages, store, mirrors(mirror.address), Report())
    assert caught.value.what == "2 packages can not be had from any mirror"
    host = mirror.address.removeprefix("http://")
    assert (caught.value.why or "").splitlines() == [
        f"a 1.0: {host}: HTTP 404 Not Found",
        f"b 1.0: {host}: HTTP 404 Not Found",
    ]
    assert "invar lock --update" in (caught.value.hint or "")
    assert store.find("deb", packages[2].sha256) is not None


def test_unreachable_mirror_is_one_error(archive: ArchiveBuilder, store: Store) -> None:
    packages = packages_of(archive, *"abcdefghijklmnop")
    with pytest.raises(InvarError) as caught:
        fetch(packages, store, mirrors("http://127.0.0.1:9"), Report())
    assert caught.value.what == "no mirror can be reached"
    assert caught.value.where == "the test"
    assert (caught.value.why or "").splitlines() == ["127.0.0.1:9: Connection refused"]


def test_leaving_early_keeps_what_arrived(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, *"abcdef")
    arrivals = fetch_each(packages, store, mirrors(mirror.address), Report())
    package, path = next(arrivals)
    arrivals.close()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256
    assert sound(packages, fetch(packages, store, mirrors(mirror.address), Report()))


FETCHES = """
import sys
from pathlib import Path
from invar.core.events import Report
from invar.debian.fetch import fetch
from invar.debian.lock import LockedPackage
from invar.debian.mirrors import Mirrors
from invar.store.objects import Store
root, address, path, sha256, size = sys.argv[1:]
package = LockedPackage("a", "1.0", "all", path, sha256, int(size), "trixie")
try:
    fetch([package], Store(Path(root)), Mirrors((address,), (address,), "test"), Report())
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_interrupted_run_ends_at_once_and_is_continued(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    (package,) = packages_of(archive, "a")
    reached, go_on = threading.Event(), threading.Event()
    mirror.stalled[f"/{package.path}"] = (reached, go_on)
    arguments = [str(store.root), mirror.address, package.path, package.sha256, str(package.size)]
    process = subprocess.Popen([sys.executable, "-c", FETCHES, *arguments])
    try:
        assert reached.wait(30)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        go_on.set()
    assert store.find("deb", package.sha256) is None
    assert sound([package], fetch([package], store, mirrors(mirror.address), Report()))


def test_file_that_a_power_cut_emptied_is_fetched_again(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "a")
    fetch(packages, store, mirrors(mirror.address), Report())
    store.path("deb", packages[0].sha256).write_bytes(b"")
    assert sound(packages, fetch(packages, store, mirrors(mirror.address), Report()))


def test_packages_are_unpacked_as_they_arrive(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    packages = packages_of(archive, "b", "a")
    found = fetch_and_unpack(packages, store, mirrors(mirror.address), Report())
    assert list(found) == ["b", "a"]
    assert (found["a"].data / "usr/a").stat().st_size == 320_000
    count = len(mirror.requests)
    report = Report()
    assert fetch_and_unpack(packages, store, mirrors(mirror.address), report) == found
    assert report.cached["unpack"]
    assert len(mirror.requests) == count


def test_error_while_unpacking_ends_the_run(archive: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    path = archive.base("trixie") / "pool" / "bad.deb"
    path.write_bytes(b"no deb")
    sha256 = hashlib.sha256(b"no deb").hexdigest()
    bad = LockedPackage("bad", "1", "all", "pool/bad.deb", sha256, 6, "trixie")
    with pytest.raises(InvarError, match="not a sound Debian package"):
        fetch_and_unpack([bad, *packages_of(archive, "a")], store, mirrors(mirror.address), Report())
