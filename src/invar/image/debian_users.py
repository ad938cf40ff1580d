"""Fixed numbers for the users and groups that Debian packages make, whatever else is installed, in whatever order.

Debian gives a dynamic system user the next free number (adduser from 100 up, systemd-sysusers from 999 down). Here
every one has a number of its own: those below from `FIXED`, all others 200 + (SHA-256(name) mod 200), or the next free
one. Declared users never get numbers from 100 to 399. Debian's static numbers (0-99, group users 100, 60000-64999,
65534; Policy 9.2) stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DYNAMIC = range(100, 1000)
"""Numbers that packages hand out on installation."""
HASHED = range(200, 400)
STATIC = frozenset({"users"})
"""base-passwd's own, though its number, 100, lies in the dynamic range."""

FIXED: Mapping[str, int] = {
    "systemd-network": 101,
    "systemd-resolve": 102,
    "systemd-timesync": 103,
    "systemd-journal": 104,
    "systemd-coredump": 105,
    "systemd-oom": 106,
    "systemd-journal-remote": 107,
    "systemd-journal-upload": 108,
    "input": 109,
    "render": 110,
    "sgx": 111,
    "kvm": 112,
    "crontab": 113,
    "netdev": 114,
    "uuidd": 115,
    "tcpdump": 116,
    "_ssh": 117,
    "sshd": 118,
    "postgres": 119,
    "ssl-cert": 120,
    "mysql": 121,
    "redis": 122,
    "rabbitmq": 123,
    "memcache": 124,
    "haproxy": 125,
    "_chrony": 126,
    "polkitd": 127,
    "postfix": 128,
    "postdrop": 129,
    "prometheus": 130,
    "unbound": 131,
    "dnsmasq": 132,
    "bind": 133,
    "ntpsec": 134,
    "rdma": 135,
    "clock": 136,
    "empower": 137,
    "docker": 138,
    "elasticsearch": 139,
    "grafana": 140,
    "_rpc": 141,
    "statd": 142,
    "tss": 143,
    "syslog": 144,
    "plocate": 145,
    "dhcpcd": 146,
    "sambashare": 147,
    "lxd": 148,
    "landscape": 149,
    "messagebus": 150,
}


@dataclass(frozen=True, slots=True)
class Renumbering:
    """Old number → new number, for users and for groups. Numbers that are not keys stay."""

    uids: Mapping[int, int]
    gids: Mapping[int, int]


def assign_numbers(names: Iterable[str]) -> dict[str, int]:
    """A number for every name. Where two hashed names meet, the later in the alphabet moves on."""
    wanted = sorted(set(names))
    numbers = {name: FIXED[name] for name in wanted if name in FIXED}
    taken = set(FIXED.values())
    for name in wanted:
        if name in numbers:
            continue
        start = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % len(HASHED)
        for step in range(len(HASHED)):
            number = HASHED[(start + step) % len(HASHED)]
            if number not in taken:
                break
        else:
            raise ValueError(f"no number is left for {name}: packages make more than {len(HASHED)} users")
        numbers[name] = number
        taken.add(number)
    return numbers


def renumber(passwd: str, group: str) -> Renumbering:
    """The change of numbers for the texts of passwd(5) and group(5) as the packages left them.

    A group with a user's name gets the user's number.
    """
    users, groups = _dynamic(passwd), _dynamic(group)
    numbers = assign_numbers([*users, *groups])
    return Renumbering(
        {old: numbers[name] for name, old in users.items()}, {old: numbers[name] for name, old in groups.items()}
    )


def apply_to_passwd(text: str, change: Renumbering) -> str:
    """passwd(5) with the new numbers, sorted by them."""
    rows = [line.split(":") for line in text.splitlines() if line]
    for row in rows:
        row[2] = str(change.uids.get(int(row[2]), int(row[2])))
        row[3] = str(change.gids.get(int(row[3]), int(row[3])))
    return _joined(sorted(rows, key=lambda row: (int(row[2]), row[0])))


def apply_to_group(text: str, change: Renumbering) -> str:
    """group(5) with the new numbers, sorted by them, members in order."""
    rows = [line.split(":") for line in text.splitlines() if line]
    for row in rows:
        row[2] = str(change.gids.get(int(row[2]), int(row[2])))
        row[3] = ",".join(sorted(filter(None, row[3].split(","))))
    return _joined(sorted(rows, key=lambda row: (int(row[2]), row[0])))


def settle_shadow(text: str, order: str, day: int | None) -> str:
    """shadow(5) or gshadow(5), its lines in the order of `order`; for shadow, `day` (since 1970) is the last change."""
    rows = {line.split(":")[0]: line.split(":") for line in text.splitlines() if line}
    if day is not None:
        for row in rows.values():
            row[2] = str(day)
    names = [line.split(":")[0] for line in order.splitlines()]
    return _joined([rows[name] for name in names if name in rows])


def _dynamic(text: str) -> dict[str, int]:
    rows = (line.split(":") for line in text.splitlines() if line)
    return {row[0]: int(row[2]) for row in rows if int(row[2]) in DYNAMIC and row[0] not in STATIC}


def _joined(rows: list[list[str]]) -> str:
    return "".join(":".join(row) + "\n" for row in rows)
