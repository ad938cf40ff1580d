"""How the caller gets to be root inside: by being root, or by subordinate ids (subuid(5)) in a user namespace."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError

IDS_NEEDED = 65536
"""A system's ids are 0-65535: packages own files as nobody, 65534."""

Range = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A user namespace's id maps: (inside, outside, count) lines, and the set-uid programs that write them."""

    uids: tuple[Range, ...]
    gids: tuple[Range, ...]
    newuidmap: str
    newgidmap: str


def find_mapping() -> Mapping | None:
    """None for root, who needs no user namespace; else the caller's own id as 0 and subordinate ids from 1 on.

    Raises InvarError with the remedy when newuidmap is absent or fewer than 65535 subordinate ids are granted.
    """
    if os.geteuid() == 0:
        return None
    user = _user_name(os.geteuid())
    programs = [shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin") for name in ("newuidmap", "newgidmap")]
    if programs[0] is None or programs[1] is None:
        raise InvarError(
            "building as an ordinary user needs newuidmap and newgidmap",
            why="they give a user namespace its subordinate ids, and are not installed",
            hint="install the package `uidmap` (Debian, Ubuntu) or `shadow-utils`, or run as root",
        )
    uids = map_ids(os.geteuid(), granted_ranges(Path("/etc/subuid"), user, os.geteuid()), "uid", user)
    gids = map_ids(os.getegid(), granted_ranges(Path("/etc/subgid"), user, os.geteuid()), "gid", user)
    return Mapping(uids, gids, programs[0], programs[1])


def granted_ranges(path: Path, user: str, uid: int) -> list[tuple[int, int]]:
    """The (first, count) ranges that subuid(5) or subgid(5) grants to a user, by name or number."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    ranges = []
    for line in lines:
        fields = line.split("#")[0].strip().split(":")
        if len(fields) == 3 and fields[0] in (user, str(uid)) and fields[1].isdigit() and fields[2].isdigit():
            ranges.append((int(fields[1]), int(fields[2])))
    return ranges


def map_ids(own: int, ranges: list[tuple[int, int]], kind: str, user: str) -> tuple[Range, ...]:
    """The lines of an id map: `own` as 0, then the granted (first, count) ranges. InvarError if they are too few."""
    lines: list[Range] = [(0, own, 1)]
    inside = 1
    for first, count in ranges:
        take = min(count, IDS_NEEDED - inside)
        if take > 0:
            lines.append((inside, first, take))
            inside += take
    if inside < IDS_NEEDED:
        raise InvarError(
            f"{user} has {inside - 1} subordinate {kind}s, and building needs {IDS_NEEDED - 1}",
            where=f"/etc/sub{kind}",
            hint=f"sudo usermod --add-subuids 200000-265535 --add-subgids 200000-265535 {user}, or run as root",
        )
    return tuple(lines)


def why_refused() -> str | None:
    """What on this machine keeps ordinary users from namespaces, as a remedy, or None when nothing known does."""
    settings = (
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=65536"),
    )
    if os.geteuid() == 0:
        return "root lacks CAP_SYS_ADMIN here (a container?): run it outside, or give the container --privileged"
    for path, bad, remedy in settings:
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        if value == bad:
            return f"this machine keeps user namespaces from ordinary users; allow them with: sudo sysctl {remedy}"
    return None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
