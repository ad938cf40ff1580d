"""The processes of this machine that its system does not declare: by control group, unit file and program.

A process is declared when the unit that its control group belongs to comes, with all drop-ins, from the sealed system,
and its program does too. A unit file in /run, be it transient or written there, was made by somebody on the machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from invar.core.errors import InvarError
from invar.machine.sealed import Sealed
from invar.system.proof import ProcessProof

PROC = Path("/proc")
GENERATED = ("/run/systemd/generator/", "/run/systemd/generator.early/", "/run/systemd/generator.late/")
"""What generators make of the sealed fstab at boot, mounts and swaps; no generator of an image makes services."""
BY_HAND = (
    Path("/run/systemd/system"),
    Path("/run/systemd/transient"),
    Path("/run/systemd/system.control"),
)
"""Where units lie that somebody made on the running machine."""

LISTED = 32
"""Kinds of undeclared processes that a proof lists at most: it has to fit on a console many times over."""
SECOND_LOOK = 1.0
"""Seconds after which what seemed undeclared is looked at again."""
PIDS = 4
"""Numbers that are told of each."""

_KTHREAD = 0x00200000
"""PF_KTHREAD of linux/sched.h."""
_UNIT = re.compile(r"[^/]+\.(service|scope|socket|mount|swap)")
_SESSION = re.compile(r"session-[^/]+\.scope")
_LOGINS = frozenset({"sshd", "sshd-session", "login"})
"""Programs that hold a login session as long as somebody is logged in."""
_SYSTEMD = Path("/usr/lib/systemd")
_SYSTEMD_SECONDS = 60.0
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a user's, not a kernel thread. `group` is its control group; `sealed` tells of its program."""

    pid: int
    parent: int
    group: str
    program: str
    sealed: bool


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """Where systemd has a unit from: its file ("" where it has none) and its drop-ins."""

    fragment: str
    drop_ins: tuple[str, ...] = ()


def undeclared_processes(programs: Sequence[str] = (), patterns: Sequence[str] = ()) -> tuple[ProcessProof, ...]:
    """What runs and is not declared, but for whoever asks, for programs in these places and units like these.

    Raises InvarError when systemd does not answer.
    """
    sealed = Sealed()
    found = _look(sealed, read_processes(sealed), programs, patterns)
    if any(one.kind != "session" for one in found):
        # A process that was about to end with its session, or to become something else, is gone by now.
        before = read_processes(sealed)
        time.sleep(SECOND_LOOK)
        after = set(read_processes(sealed))
        found = _look(sealed, [one for one in before if one in after], programs, patterns)
    listed = {one.unit for one in found}
    found += [one for one in idle_units(BY_HAND) if one.unit not in listed and not _is_like(one.unit, patterns)]
    if len(found) > LISTED:
        rest = found[LISTED - 1 :]
        count = sum(one.count for one in rest)
        found = [*found[: LISTED - 1], ProcessProof("undeclared", "", "", (), count, f"and {len(rest)} more kinds")]
    return tuple(found)


def _look(
    sealed: Sealed, running: Sequence[Process], programs: Sequence[str], patterns: Sequence[str]
) -> list[ProcessProof]:
    names = {unit for one in running if (unit := unit_of(one.group)) and not _of_user(one.group)}
    allowed = {name for name in names if _is_like(name, patterns)}
    asker = ancestry(running, os.getpid())
    return judge(
        running, read_units(sorted(names - allowed)), lambda path: sealed.holds(Path(path)), programs, allowed, asker
    )


def judge(
    processes: Iterable[Process],
    units: Mapping[str, UnitFiles],
    sealed: Callable[[str], bool],
    programs: Sequence[str] = (),
    allowed: Collection[str] = (),
    asker: Collection[int] = (),
) -> list[ProcessProof]:
    """What is not declared, those of one kind, unit and program together; without the `asker`'s own processes.

    `sealed` tells whether a file is. What runs in `allowed` units is nobody's concern (a container has programs of its
    own), and programs in the places of `programs` need not be sealed. Pure.
    """
    everything = list(processes)
    attended = {_slice(one.group) for one in everything if _holds_session(one)}
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for one in everything:
        unit = unit_of(one.group)
        why = _why_undeclared(one, unit, units, sealed, attended)
        name = unit or one.group
        if _manages(one) or one.pid in asker or unit in allowed:
            continue
        if why is not None:
            kind = "undeclared"
        elif not one.sealed and not any(_is_in(one.program, place) for place in programs):
            kind, why = "foreign", "the program is not of the sealed system"
        elif _of_user(one.group):
            kind, why = "session", ""
        else:
            continue
        found.setdefault((kind, name, one.program[:_LONGEST], why), []).append(one.pid)
    return [
        ProcessProof(kind, name, program, tuple(pids[:PIDS]), len(pids), why)  # type: ignore[arg-type]
        for (kind, name, program, why), pids in found.items()
    ]


def _why_undeclared(
    one: Process,
    unit: str | None,
    units: Mapping[str, UnitFiles],
    sealed: Callable[[str], bool],
    attended: set[str],
) -> str | None:
    if one.group == "/init.scope" and one.pid == 1:
        return None
    if _of_user(one.group):
        return None if _slice(one.group) in attended else "nobody is logged in there any more"
    if unit is None:
        # Programs that the kernel starts, such as modprobe, are children of kthreadd.
        return None if one.parent == 2 and one.sealed else "it is in no unit"
    files = units.get(unit, UnitFiles(""))
    if not files.fragment:
        return "the unit has no file"
    generated = GENERATED if unit.endswith((".mount", ".swap")) else ()
    for path in (files.fragment, *files.drop_ins):
        if not path.startswith(generated) and not sealed(path):
            return f"{path} is not of the sealed system"
    return None


def unit_of(group: str) -> str | None:
    """The unit that a control group belongs to: below slices, the first component that is one."""
    return next((part for part in group.split("/") if _UNIT.fullmatch(part)), None)


def ancestry(processes: Iterable[Process], pid: int) -> frozenset[int]:
    """A process, and those that it was started by; PID 1 aside."""
    parents = {one.pid: one.parent for one in processes}
    own: set[int] = set()
    while pid in parents and pid not in own and pid != 1:
        own.add(pid)
        pid = parents[pid]
    return frozenset(own)


def read_processes(sealed: Sealed) -> list[Process]:
    """Every process but kernel threads and those that have ended."""
    found = []
    for entry in sorted(int(path.name) for path in PROC.iterdir() if path.name.isdigit()):
        try:
            stat = (PROC / str(entry) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(stat[6]) & _KTHREAD or stat[0] in "ZX":
                continue
            group = group_of((PROC / str(entry) / "cgroup").read_text(errors="replace"))
            program, is_sealed = _program(entry, sealed)
            found.append(Process(entry, int(stat[1]), group, program, is_sealed))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while it was looked at
    return found


def _program(pid: int, sealed: Sealed) -> tuple[str, bool]:
    """Its path, and whether it is sealed. What root may not look at is not."""
    try:
        return str((PROC / str(pid) / "exe").readlink()), sealed.runs(pid)
    except PermissionError:
        return "unreadable", False


def group_of(text: str) -> str:
    """The control group of version 2 in a process's /proc/PID/cgroup (cgroups(7))."""
    return next((line[3:] for line in text.splitlines() if line.startswith("0::")), "/").removesuffix(" (deleted)")


def read_units(names: Sequence[str]) -> dict[str, UnitFiles]:
    """Where systemd has units from. Raises InvarError when it does not answer."""
    if not names:
        return {}
    try:
        shown = subprocess.run(
            ("systemctl", "show", "--property=Id,FragmentPath,DropInPaths", "--", *names),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SYSTEMD_SECONDS,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise InvarError("systemd does not tell of its units", why=str(error)) from error
    return units_in(shown.stdout)


def units_in(shown: str) -> dict[str, UnitFiles]:
    """What `systemctl show --property=Id,FragmentPath,DropInPaths` tells of several units, by their names."""
    found = {}
    for block in shown.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            drop_ins = tuple(values.get("DropInPaths", "").split())
            found[values["Id"]] = UnitFiles(values.get("FragmentPath", ""), drop_ins)
    return found


def idle_units(directories: Iterable[Path]) -> list[ProcessProof]:
    """Units that were made by hand on the running machine; those of login sessions aside."""
    found = []
    for directory in directories:
        for path in sorted(directory.glob("*")) if directory.is_dir() else ():
            name = path.name.removesuffix(".d")
            if not _SESSION.fullmatch(name) and not name.endswith((".wants", ".requires", ".upholds")):
                found.append(ProcessProof("undeclared", name, "", (), 0, f"{path} is not of the sealed system"))
    return found


def _of_user(group: str) -> bool:
    return group.startswith("/user.slice/")


def _manages(one: Process) -> bool:
    """Whether it is a user's systemd: logind has it from the first session until some seconds after the last."""
    in_scope = re.fullmatch(r"/user\.slice/[^/]+/user@[^/]+\.service/init\.scope", one.group)
    return in_scope is not None and one.sealed and Path(one.program).parent == _SYSTEMD


def _slice(group: str) -> str:
    """The slice of one user."""
    return "/".join(group.split("/")[:3])


def _holds_session(one: Process) -> bool:
    unit = unit_of(one.group)
    return (
        _of_user(one.group)
        and unit is not None
        and _SESSION.fullmatch(unit) is not None
        and one.sealed
        and Path(one.program).name in _LOGINS
    )


def _is_like(unit: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(unit, pattern) for pattern in patterns)


def _is_in(program: str, place: str) -> bool:
    return program == place or program.startswith(place.rstrip("/") + "/")
