"""The lock file reads back what was written, diffs line by line, and says where it is wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.debian.changes import diff_locks
from invar.debian.lock import Lock, LockedIndex, LockedPackage, check_requests, format_lock, read_lock, write_lock


def package(name: str, version: str = "1", **fields: object) -> LockedPackage:
    defaults: dict[str, object] = {
        "name": name,
        "version": version,
        "architecture": "all",
        "path": f"pool/main/{name}_{version}_all.deb",
        "sha256": hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
        "size": 100,
        "suite": "trixie",
    }
    return LockedPackage(**(defaults | fields))  # type: ignore[arg-type]


def lock_of(*packages: LockedPackage, **fields: object) -> Lock:
    names = tuple(sorted(item.name for item in packages))
    defaults: dict[str, object] = {
        "architecture": "amd64",
        "date": "2026-11-21T02:10:46Z",
        "indices": (LockedIndex("trixie", "main", "2026-11-21T02:10:46Z", "a" * 64, "b" * 64),),
        "requests": names,
        "tool_requests": (),
        "image": names,
        "tools": (),
        "packages": {item.name: item for item in sorted(packages, key=lambda item: item.name)},
    }
    return Lock(**(defaults | fields))  # type: ignore[arg-type]


SAMPLE = lock_of(
    package("nginx", "1.26-3", depends=("libc6",), suite="trixie-security"),
    package("libc6", "2.41", essential=True, pre_depends=("base",)),
    package("base"),
)


def test_written_lock_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "invar.lock"
    write_lock(SAMPLE, path)
    assert read_lock(path) == SAMPLE
    assert list(tmp_path.iterdir()) == [path]


def test_file_is_json_with_one_package_a_line() -> None:
    text = format_lock(SAMPLE)
    assert list(json.loads(text)["packages"]) == ["base", "libc6", "nginx"]
    assert sum('"sha256"' in line for line in text.splitlines()) == 3
    assert text == format_lock(SAMPLE)


def test_upgrade_changes_one_line() -> None:
    others = [item for item in SAMPLE.packages.values() if item.name != "nginx"]
    upgraded = lock_of(*others, package("nginx", "1.26-4", suite="trixie-security"))
    before, after = format_lock(SAMPLE).splitlines(), format_lock(upgraded).splitlines()
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


def test_epoch_is_the_date() -> None:
    assert SAMPLE.epoch == 1795227046


def test_digest_ignores_mirrors_and_nothing_else() -> None:
    assert dataclasses.replace(SAMPLE, mirrors=("https://m.example/debian",)).digest == SAMPLE.digest
    assert dataclasses.replace(SAMPLE, date="2026-11-21T02:10:47Z").digest != SAMPLE.digest


def test_configuration_order_follows_dependencies() -> None:
    lock = lock_of(
        package("a", depends=("b",)),
        package("b", depends=("c",), pre_depends=("d",)),
        package("c", depends=("a",)),
        package("d"),
        package("z", essential=True),
    )
    assert [item.name for item in lock.image_packages()] == ["z", "d", "c", "b", "a"]
    assert [item.name for item in lock.ordered(["a", "b"])] == ["b", "a"]


def test_lock_made_for_other_requests_is_refused() -> None:
    check_requests(SAMPLE, ["base", "libc6", "nginx"], {})
    with pytest.raises(InvarError) as caught:
        check_requests(
            SAMPLE, ["nginx", "libc6", "redis"], {"redis": "configuration.nix:4"}, ["qemu"], where="invar.lock"
        )
    assert caught.value.what == "the lock does not match the configuration"
    assert caught.value.where == "invar.lock"
    assert (caught.value.why or "").splitlines() == [
        "asked for, not in the lock: redis (asked for at configuration.nix:4)",
        "in the lock, no longer asked for: base",
        "build tool not in the lock: qemu",
    ]
    assert "invar lock" in (caught.value.hint or "")


def broken(tmp_path: Path, text: str) -> InvarError:
    path = tmp_path / "invar.lock"
    path.write_text(text)
    with pytest.raises(InvarError) as caught:
        read_lock(path)
    return caught.value


def test_missing_lock_tells_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvarError, match="no lock yet") as caught:
        read_lock(tmp_path / "invar.lock")
    assert "invar lock" in (caught.value.hint or "")


def test_text_that_is_no_json_shows_line_and_column(tmp_path: Path) -> None:
    error = broken(tmp_path, '{\n "schema": 1,\n oops\n}')
    assert error.where is not None and error.where.endswith("invar.lock:3:2")


def test_merge_conflict_is_recognised(tmp_path: Path) -> None:
    text = format_lock(SAMPLE).replace(' "requests"', '<<<<<<< HEAD\n "requests"')
    assert "merge conflict" in (broken(tmp_path, text).why or "")


def test_other_schema_is_refused(tmp_path: Path) -> None:
    assert "schema 99" in broken(tmp_path, format_lock(SAMPLE).replace('"schema": 1', '"schema": 99')).what
    assert "schema None" in broken(tmp_path, "[]").what


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"size": 100', '"size": "many"', "many"),
        ('"version": "1.26-3"', '"version": ""', "version must be a string"),
        ('"path": "pool/main/nginx', '"path": "../pool/main/nginx', "leaves the archive"),
        (SAMPLE.packages["nginx"].sha256, "xyz", "SHA-256"),
    ],
)
def test_damage_is_located(tmp_path: Path, old: str, new: str, why: str) -> None:
    text = format_lock(SAMPLE)
    head, _, tail = text.rpartition(old)
    error = broken(tmp_path, head + new + tail)
    line = text.splitlines().index(next(line for line in text.splitlines() if '"nginx": {' in line)) + 1
    assert error.what == "the lock is damaged"
    assert error.where is not None and error.where.endswith(f":{line}")
    assert why in (error.why or "")


def test_lock_that_lacks_a_member_is_refused(tmp_path: Path) -> None:
    text = "".join(line for line in format_lock(SAMPLE).splitlines(keepends=True) if '"base": {' not in line)
    assert "no entry under packages for base" in (broken(tmp_path, text).why or "")


def test_changes_are_classified() -> None:
    new = lock_of(
        package("nginx", "1.26-4", suite="trixie-security"),
        package("libc6", "2.40"),
        package("redis", "7"),
    )
    changes = {change.name: change for change in diff_locks(SAMPLE, new)}
    assert {name: change.kind for name, change in changes.items()} == {
        "base": "removed",
        "libc6": "downgraded",
        "nginx": "upgraded",
        "redis": "added",
    }
    assert changes["nginx"].security
    assert str(changes["nginx"]) == "upgraded   nginx 1.26-3 → 1.26-4 (security)"
    assert diff_locks(SAMPLE, SAMPLE) == []
    assert [change.kind for change in diff_locks(None, new)] == ["added"] * 3
