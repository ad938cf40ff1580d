"""Who there is on the machine: the packages' accounts and the declared ones, merged into /etc/passwd and its like.

Numbers follow docs/architecture.md, "Identities of users"; the formats are passwd(5), group(5), shadow(5), gshadow(5).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from invar.core.errors import InvarError
from invar.system.record import Group, User

NORMAL = range(1000, 29000)
SYSTEM = range(400, 900)
HIGHEST = 65533
"""Above lie nobody and numbers that a compact inode cannot hold."""

NO_PASSWORD = "!"
SECONDS_A_DAY = 86400

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}[$a-z0-9_-]?")
_FIELD = re.compile(r"[^:\n\0]*")
_HASH = re.compile(r"\$(y|gy|7|2[aby]|6|5)\$[./A-Za-z0-9$,=]+")
_LOCKED = re.compile(r"[!*].*")


@dataclass(frozen=True, slots=True)
class Accounts:
    """The four files' texts, and the numbers by name."""

    passwd: str
    group: str
    shadow: str
    gshadow: str
    uids: Mapping[str, int]
    gids: Mapping[str, int]


def merge_accounts(packages: Mapping[str, str], users: Iterable[User], groups: Iterable[Group], epoch: int) -> Accounts:
    """The packages' files (texts by name) with the declared users and groups over them.

    A user or group that packages made keeps its number: files in the packages layer belong to it. `epoch` (seconds
    since 1970) is the passwords' day of change. Raises InvarError for numbers used twice, unknown groups or members,
    and what is no password hash.
    """
    declared_users = {user.name: user for user in sorted(users, key=lambda user: user.name)}
    declared_groups = {group.name: group for group in sorted(groups, key=lambda group: group.name)}
    for kind, names in (("user", declared_users), ("group", declared_groups)):
        for name in names:
            _check_name(kind, name)

    passwd = {row[0]: row for row in _rows(packages["passwd"])}
    group = {row[0]: row for row in _rows(packages["group"])}
    gids = _number(
        "groups",
        {name: int(row[2]) for name, row in group.items()},
        {name: (entry.gid, SYSTEM) for name, entry in declared_groups.items()},
    )
    uids = _number(
        "users",
        {name: int(row[2]) for name, row in passwd.items()},
        {name: (user.uid, NORMAL if user.normal else SYSTEM) for name, user in declared_users.items()},
    )
    members = {name: {member for member in row[3].split(",") if member} for name, row in group.items()}
    for name, entry in declared_groups.items():
        for member in entry.members:
            _known("user", member, uids, f'users.groups."{name}".members')
            members.setdefault(name, set()).add(member)
    for name, user in declared_users.items():
        for extra in user.extra_groups:
            _known("group", extra, gids, f'users.users."{name}".extraGroups')
            members.setdefault(extra, set()).add(name)
        passwd[name] = _passwd_row(user, uids, gids)

    by_uid = sorted(uids, key=lambda name: (uids[name], name))
    by_gid = sorted(gids, key=lambda name: (gids[name], name))
    return Accounts(
        passwd=_text(passwd[name] for name in by_uid),
        group=_text([name, "x", str(gids[name]), ",".join(sorted(members.get(name, ())))] for name in by_gid),
        shadow=_shadow(packages["shadow"], by_uid, declared_users, epoch // SECONDS_A_DAY),
        gshadow=_gshadow(packages["gshadow"], by_gid, members),
        uids=uids,
        gids=gids,
    )


def derived_number(name: str, numbers: range, taken: set[int]) -> int:
    """The number that a name gets: by its SHA-256, or the next free one. Raises InvarError when none is free."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % len(numbers)
    for step in range(len(numbers)):
        number = numbers[(start + step) % len(numbers)]
        if number not in taken:
            return number
    raise InvarError(f"no number is left for {name}", why=f"all from {numbers[0]} to {numbers[-1]} are taken")


def _number(kind: str, packages: Mapping[str, int], declared: Mapping[str, tuple[int | None, range]]) -> dict[str, int]:
    """All numbers by name: the packages' own, then the declared ones, then derived ones in the names' order."""
    numbers = dict(packages)
    owners = {number: name for name, number in packages.items()}
    option = "uid" if kind == "users" else "gid"
    for name, (number, _) in declared.items():
        if number is None or numbers.get(name) == number:
            continue
        where = f'users.{kind}."{name}".{option}'
        if name in packages:
            raise InvarError(
                f"{name} cannot have the number {number}",
                where=where,
                why=f"its package gives it {packages[name]}, which owns files in the packages layer",
                hint=f"leave {option} unset",
            )
        if number in owners:
            raise InvarError(
                f"{owners[number]} and {name} both have the number {number}",
                where=where,
                hint=f"change one, or unset {option}",
            )
        if not 0 <= number <= HIGHEST:
            raise InvarError(
                f"{number} is no number for {name}", where=where, why=f"it must lie between 0 and {HIGHEST}"
            )
        numbers[name] = number
        owners[number] = name
    for name, (_, where_from) in declared.items():
        if name not in numbers:
            numbers[name] = derived_number(name, where_from, set(owners))
            owners[numbers[name]] = name
    return numbers


def _passwd_row(user: User, uids: Mapping[str, int], gids: Mapping[str, int]) -> list[str]:
    option = f'users.users."{user.name}"'
    _known("group", user.group, gids, f"{option}.group")
    for field, value in (("description", user.description), ("home", user.home), ("shell", user.shell)):
        if not _FIELD.fullmatch(value):
            raise InvarError(f"the {field} of {user.name} holds a colon or a line break", where=f"{option}.{field}")
    return [user.name, "x", str(uids[user.name]), str(gids[user.group]), user.description, user.home, user.shell]


def _shadow(text: str, order: list[str], declared: Mapping[str, User], day: int) -> str:
    rows = {row[0]: row for row in _rows(text)}
    for name in order:
        row = rows.setdefault(name, [name, NO_PASSWORD, str(day), "0", "99999", "7", "", "", ""])
        user = declared.get(name)
        if user is not None and user.hashed_password is not None:
            row[1] = _checked_hash(user)
            row[2] = str(day)
    return _text(rows[name] for name in order)


def _gshadow(text: str, order: list[str], members: Mapping[str, set[str]]) -> str:
    rows = {row[0]: row for row in _rows(text)}
    for name in order:
        row = rows.setdefault(name, [name, NO_PASSWORD, "", ""])
        row[3] = ",".join(sorted(members.get(name, ())))
    return _text(rows[name] for name in order)


def _checked_hash(user: User) -> str:
    password = user.hashed_password or ""
    if _HASH.fullmatch(password) or _LOCKED.fullmatch(password):
        return password
    what = "is empty: anyone could log in" if not password else "is not a hash that is safe to keep in an image"
    raise InvarError(
        f"the password of {user.name} {what}",
        where=f'users.users."{user.name}".hashedPassword',
        why="everyone who can read the image can read it",
        hint='make a hash with `mkpasswd -m yescrypt`, or use openssh.authorizedKeys.keys; "!" locks the password',
    )


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvarError(
            f"{name!r} is no name for a {kind}",
            where=f"users.{kind}s",
            why="a name has at most 32 characters: a lower-case letter or _, then letters, digits, _ and -",
        )


def _known(kind: str, name: str, names: Mapping[str, int], where: str) -> None:
    if name in names:
        return
    near = difflib.get_close_matches(name, names, 3)
    raise InvarError(
        f"there is no {kind} {name}",
        where=where,
        hint=f"perhaps {', '.join(near)}" if near else f"declare it: users.{kind}s.{name} = {{ }};",
    )


def _rows(text: str) -> list[list[str]]:
    return [line.split(":") for line in text.splitlines() if line]


def _text(rows: Iterable[list[str]]) -> str:
    return "".join(":".join(row) + "\n" for row in rows)
