"""From a signed archive to a lock, and from a lock to the next one."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from debian_archive import DATE, NOW, ArchiveBuilder, Mirror
from pysequoia import Tsk

from invar.core.errors import InvarError
from invar.core.events import Event, Report, Warned
from invar.debian.changes import diff_locks
from invar.debian.lock import Lock, format_date
from invar.debian.mirrors import Mirrors
from invar.debian.resolve import make_lock, open_universe
from invar.store.objects import Store


def lock(archive: ArchiveBuilder, store: Store, *requests: str, **arguments: object) -> Lock:
    defaults: dict[str, object] = {"origins": {}, "now": NOW, "keyring": archive.keyring}
    given = {"mirrors": archive.mirrors, "report": Report()} | arguments
    mirrors, report = given.pop("mirrors"), given.pop("report")
    return make_lock(requests, ["mtools"], mirrors, store, report, **(defaults | given))  # type: ignore[arg-type]


@pytest.fixture
def filled(archive: ArchiveBuilder) -> ArchiveBuilder:
    archive.add("nginx", "1.26-3", depends="libc6", pre_depends="base-files")
    archive.add("libc6", "2.41")
    archive.add("mtools", depends="libc6")
    archive.add("redis", "7")
    archive.publish()
    return archive


def test_lock_of_a_signed_archive(filled: ArchiveBuilder, store: Store) -> None:
    made = lock(filled, store, "nginx")
    assert made.image == ("base-files", "libc6", "nginx")
    assert made.tools == ("base-files", "libc6", "mtools")
    assert made.requests == ("nginx",)
    assert made.date == format_date(DATE)
    assert [index.suite for index in made.indices] == ["trixie", "trixie-updates", "trixie-security"]
    nginx = made.packages["nginx"]
    assert (nginx.pre_depends, nginx.depends) == (("base-files",), ("libc6",))
    assert (filled.base("trixie") / nginx.path).stat().st_size == nginx.size
    assert made == lock(filled, store, "nginx")


def test_security_fix_is_taken_on_update_only(filled: ArchiveBuilder, store: Store) -> None:
    old = lock(filled, store, "nginx")
    filled.add("nginx", "1.26-3+deb13u1", suite="trixie-security", depends="libc6")
    filled.publish(date=DATE + timedelta(hours=1))
    kept = lock(filled, store, "nginx", "redis", previous=old)
    assert kept.packages["nginx"].version == "1.26-3"
    assert "redis" in kept.image
    assert kept.date == old.date
    new = lock(filled, store, "nginx", previous=old, update=True)
    assert [str(change) for change in diff_locks(old, new)] == ["upgraded   nginx 1.26-3 → 1.26-3+deb13u1 (security)"]
    assert new.date == format_date(DATE + timedelta(hours=1))


def test_pinned_index_is_fetched_by_its_hash(filled: ArchiveBuilder, store: Store, tmp_path: Path) -> None:
    old = lock(filled, store, "nginx")
    filled.add("nginx", "1.27")
    filled.publish(date=DATE + timedelta(hours=1))
    elsewhere = Store(tmp_path / "elsewhere")
    assert lock(filled, elsewhere, "nginx", previous=old) == old


def test_pinned_index_that_is_gone_names_the_way_out(filled: ArchiveBuilder, store: Store, tmp_path: Path) -> None:
    old = lock(filled, store, "nginx")
    shutil.rmtree(filled.base("trixie") / "dists")
    with pytest.raises(InvarError, match="can not be had any more") as caught:
        lock(filled, Store(tmp_path / "elsewhere"), "nginx", previous=old)
    assert "invar lock --update" in (caught.value.hint or "")


def test_universe_saves_a_second_download(filled: ArchiveBuilder, store: Store) -> None:
    universe = open_universe(filled.mirrors, store, Report(), now=NOW, keyring=filled.keyring)
    expected = lock(filled, store, "nginx")
    shutil.rmtree(filled.base("trixie") / "dists")
    assert lock(filled, store, "nginx", universe=universe) == expected


def test_expired_index_is_refused_for_a_new_lock(filled: ArchiveBuilder, store: Store) -> None:
    old = lock(filled, store, "nginx")
    filled.publish(valid_until=NOW - timedelta(minutes=1))
    with pytest.raises(InvarError, match="has expired"):
        lock(filled, store, "nginx")
    assert lock(filled, store, "nginx", previous=old) == old


def test_index_signed_by_a_stranger_is_refused(filled: ArchiveBuilder, store: Store) -> None:
    filled.publish(key=Tsk.generate("stranger <stranger@example.org>"))
    with pytest.raises(InvarError, match="does not know"):
        lock(filled, store, "nginx")


def test_packages_file_that_was_not_signed_is_refused(filled: ArchiveBuilder, store: Store) -> None:
    directory = filled.base("trixie") / "dists/trixie/main/binary-amd64/by-hash/SHA256"
    for path in directory.iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InvarError, match="not the one that was signed"):
        lock(filled, store, "nginx")


def test_good_mirror_makes_up_for_a_bad_one(filled: ArchiveBuilder, mirror: Mirror, store: Store) -> None:
    mirror.replaced["/dists/trixie/InRelease"] = b"<html>captive portal</html>"
    both = Mirrors((mirror.address, filled.mirrors.main[0]), filled.mirrors.security, "test")
    assert lock(filled, store, "nginx", mirrors=both) == lock(filled, store, "nginx")


def test_unreachable_mirror_is_told_with_its_source(filled: ArchiveBuilder, store: Store) -> None:
    dead = Mirrors(("http://127.0.0.1:9",), ("http://127.0.0.1:9",), "the environment")
    with pytest.raises(InvarError) as caught:
        lock(filled, store, "nginx", mirrors=dead)
    assert caught.value.where == "the environment"
    assert "Connection refused" in (caught.value.why or "")


def test_lagging_mirror_is_warned_about(filled: ArchiveBuilder, store: Store) -> None:
    old = lock(filled, store, "nginx")
    filled.publish(date=DATE - timedelta(days=3))
    events: list[Event] = []
    lock(filled, store, "nginx", previous=old, update=True, report=Report(events.append))
    assert sum(isinstance(event, Warned) and "lags behind" in event.text for event in events) == 3


def test_mirrors_of_the_lock_are_kept(filled: ArchiveBuilder, store: Store) -> None:
    first = lock(filled, store, "nginx", locked_mirrors=["https://m.example/debian"])
    assert first.mirrors == ("https://m.example/debian",)
    assert lock(filled, store, "nginx", previous=first, update=True).mirrors == first.mirrors


def test_path_out_of_the_archive_is_refused(filled: ArchiveBuilder, store: Store) -> None:
    filled.stanzas["trixie"] = [text.replace("pool/main/n", "../../n") for text in filled.stanzas["trixie"]]
    filled.publish()
    with pytest.raises(InvarError, match="outside of the archive"):
        lock(filled, store, "nginx")
