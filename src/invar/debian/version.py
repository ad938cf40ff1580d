"""The order of Debian versions, after deb-version(7)."""

from __future__ import annotations

import re
from functools import lru_cache

VersionKey = tuple[int, tuple[object, ...], tuple[object, ...]]

_PART = re.compile(r"([^0-9]*)([0-9]*)")
_END = (0,)


@lru_cache(maxsize=65536)
def version_key(version: str) -> VersionKey:
    """A key that orders versions as dpkg does: `[epoch:]upstream[-revision]`. Raises ValueError for a bad epoch."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    elif not epoch.isascii() or not epoch.isdigit():
        raise ValueError(f"not a Debian version: {version}")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch), _part_key(upstream), _part_key(revision)


def compare(left: str, right: str) -> int:
    """Negative, zero or positive, as `left` is earlier than, equal to or later than `right`."""
    a, b = version_key(left), version_key(right)
    return (a > b) - (a < b)


def satisfies(version: str, operator: str, wanted: str) -> bool:
    """Whether `version` is `operator` (<<, <=, =, >=, >>) `wanted`. Raises ValueError for another operator."""
    order = compare(version, wanted)
    match operator:
        case "<<":
            return order < 0
        case "<=":
            return order <= 0
        case "=":
            return order == 0
        case ">=":
            return order >= 0
        case ">>":
            return order > 0
    raise ValueError(f"not an operator of a Debian relation: {operator}")


def _part_key(part: str) -> tuple[object, ...]:
    """Runs of non-digits and numbers by turns; the closing run is empty, so that `~` sorts before the end."""
    key: list[object] = []
    for text, number in _PART.findall(part or "0"):
        if text or number:
            key.append(tuple(_weight(character) for character in text) + _END)
            key.append(int(number or "0"))
    key.append(_END)
    return tuple(key)


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
