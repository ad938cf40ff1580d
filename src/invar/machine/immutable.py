"""State that is declared immutable (`invar.immutable`): put there from its source, or recorded at first; and compared.

    /etc/invar/audit.json          what the sealed system declares (modules/invar/audit.nix)
    /var/lib/invar/immutable.json  what this machine recorded, and what it put there for earlier generations

What has a source is compared with that, which dm-verity proves. What has none is compared with what it was at the end
of the first boot that was good; that record is the machine's own state.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from invar.core.errors import ExitCode, InvarError
from invar.machine import state
from invar.machine.trees import TooMuch, Tree, changes, read_tree
from invar.system.decode import decode
from invar.system.proof import FileProof

DECLARED = Path("/etc/invar/audit.json")
RECORDS = state.STATE / "immutable.json"
LOCK = state.RUN / "immutable.lock"

NAMED = 8
"""Files that a proof names of each tree at most."""
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Immutable:
    """One declared tree. `source` is in the sealed system, None: what is first there counts. `max_size` is in MiB."""

    path: str
    source: str | None
    max_size: int


@dataclass(frozen=True, slots=True)
class Audited:
    """What the configuration says of audits. `programs`: where units may run programs from besides the system. `units`:
    patterns of units that may be made on the running machine."""

    programs: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    immutable: tuple[Immutable, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A tree as it was recorded, or put there from a source (then without `entries`), at `time`, since 1970."""

    digest: str
    time: float
    entries: dict[str, str] = field(default_factory=dict)


def declared(path: Path = DECLARED) -> Audited:
    """What the active system declares; nothing where it has no such file. Raises InvarError for a malformed one."""
    if not path.exists():
        return Audited()
    found = decode(Audited, state.read_json(path), "audit")
    assert isinstance(found, Audited)
    return found


def main(arguments: list[str]) -> int:
    """`invar immutable`: put the sources in their places (invar-immutable.service)."""
    del arguments
    with _alone():
        for text in place(declared().immutable, RECORDS):
            print(text, file=sys.stderr)
    return ExitCode.DONE


def record_new() -> None:
    """Record what is declared immutable and was never recorded. Raises InvarError."""
    with _alone():
        record(declared().immutable, RECORDS)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the record. It has a lock of its own: a switch, which holds the machine's, starts and awaits our unit."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def place(trees: Sequence[Immutable], records: Path) -> list[str]:
    """Copy each source to where it belongs, whole or not at all; what was done or refused, in a line each.

    What an earlier generation put there is replaced if it is as it was. What was altered stays, for audit to show.
    Raises InvarError when nothing can be written.
    """
    known = read_records(records)
    said = []
    for one in trees:
        if one.source is None:
            continue
        wanted, there = _source(one), _there(one)
        earlier = known.get(one.path)
        if there is not None and there.digest == wanted.digest:
            if earlier is None or earlier.digest != wanted.digest:
                known[one.path] = Record(wanted.digest, time.time())
                write_records(records, known)
            continue
        if there is not None and not there.empty and (earlier is None or earlier.digest != there.digest):
            said.append(f"{one.path} is not what was put there: it is left as it is")
            continue
        _copy(Path(one.source), Path(one.path))
        known[one.path] = Record(wanted.digest, time.time())
        write_records(records, known)
        said.append(f"{one.path} is its source, {wanted.digest[:12]}")
    return said


def record(trees: Sequence[Immutable], records: Path) -> None:
    """Record every tree without a source that is there and was not recorded yet, and forget what is not declared.

    Raises InvarError when the record cannot be read or written.
    """
    known = read_records(records)
    kept = {one.path: known[one.path] for one in trees if one.path in known}
    for one in trees:
        if one.source is None and one.path not in kept:
            try:
                tree = read_tree(Path(one.path), one.max_size)
            except (TooMuch, OSError):
                continue  # proof tells why
            if tree is not None and not tree.empty:
                kept[one.path] = Record(tree.digest, time.time(), dict(tree.entries))
    if kept != known:
        write_records(records, kept)


def compare(trees: Sequence[Immutable], records: Path = RECORDS) -> tuple[FileProof, ...]:
    """How every declared tree stands, in their order. Reads only."""
    known = read_records(records)
    return tuple(_compared(one, known.get(one.path)) for one in trees)


def _compared(one: Immutable, known: Record | None) -> FileProof:
    against: Any = "first" if one.source is None else "source"
    try:
        there = read_tree(Path(one.path), one.max_size)
        reference = _source(one) if one.source is not None else None
    except TooMuch as error:
        return FileProof(one.path, "unread", against, "", "", message=f"{error} (invar.immutable.<path>.maxSize)")
    except OSError as error:
        return FileProof(one.path, "unread", against, "", "", message=str(error))
    except InvarError as error:
        return FileProof(one.path, "unread", against, "", "", message=error.what)
    before = reference.entries if reference is not None else known.entries if known is not None else None
    wanted = reference.digest if reference is not None else known.digest if known is not None else ""
    if before is None:
        return FileProof(one.path, "new", against, "" if there is None else there.digest, "")
    if there is None:
        return FileProof(one.path, "missing", against, "", wanted)
    if there.digest == wanted:
        return FileProof(one.path, "kept", against, there.digest, wanted)
    differ = changes(before, there.entries)
    named = [name[:_LONGEST] for name in differ[:NAMED]]
    more = [f"and {len(differ) - NAMED} more"] if len(differ) > NAMED else []
    return FileProof(one.path, "altered", against, there.digest, wanted, (*named, *more))


def read_records(path: Path = RECORDS) -> dict[str, Record]:
    """What was recorded, by path. Raises InvarError when it cannot be read."""
    if not path.exists():
        return {}
    found: dict[str, Record] = decode(dict[str, Record], state.read_json(path), "immutable")
    return found


def write_records(path: Path, records: dict[str, Record]) -> None:
    """Replace the record. Raises InvarError."""
    state.write_json(path, {name: asdict(one) for name, one in records.items()})


def _source(one: Immutable) -> Tree:
    """The tree that is to be at `path`: as the source has it, root's. Raises InvarError when there is none."""
    tree = read_tree(Path(one.source or ""), one.max_size)
    if tree is None:
        raise InvarError("the source is not there", where=one.source)
    return tree


def _there(one: Immutable) -> Tree | None:
    """The tree at `path`; one that cannot be read is like no other."""
    try:
        return read_tree(Path(one.path), one.max_size)
    except (TooMuch, OSError):
        return Tree({})


def _copy(source: Path, target: Path) -> None:
    """Make `target` a copy of `source` with its modes and owners. Raises InvarError."""
    made = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove(made)
        _copy_tree(source, made)
        if target.is_dir() and not target.is_symlink():
            old = target.with_name(f".{target.name}.old")
            _remove(old)
            target.rename(old)
            made.rename(target)
            _remove(old)
        else:
            made.replace(target)
        state.sync_directory(target.parent)
    except OSError as error:
        raise InvarError(f"{target} cannot be written", why=str(error)) from error


def _copy_tree(source: Path, target: Path) -> None:
    found = source.lstat()
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir()
        for child in sorted(source.iterdir()):
            _copy_tree(child, target / child.name)
    else:
        shutil.copyfile(source, target, follow_symlinks=False)
        with target.open("rb") as file:
            os.fsync(file.fileno())
    os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    if not source.is_symlink():
        target.chmod(found.st_mode & 0o7777)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
