"""Builtins on versions and the names of packages."""

from __future__ import annotations

import re

from invar.nix.builtins.registry import Registry
from invar.nix.runtime import expect_plain
from invar.nix.values import Value

primops = Registry()

DIGITS = frozenset("0123456789")
_COMPONENT = re.compile(r"[0-9]+|[^0-9.\-]+")


@primops.add("splitVersion", 1)
def split_version(version: Value) -> list[Value]:
    """The components of a version."""
    return list(_COMPONENT.findall(str(expect_plain(version))))


@primops.add("compareVersions", 2)
def compare_versions(left: Value, right: Value) -> int:
    """-1, 0 or 1."""
    first = _COMPONENT.findall(str(expect_plain(left)))
    second = _COMPONENT.findall(str(expect_plain(right)))
    for index in range(max(len(first), len(second))):
        one = first[index] if index < len(first) else ""
        other = second[index] if index < len(second) else ""
        if _component_less(one, other):
            return -1
        if _component_less(other, one):
            return 1
    return 0


def _component_less(one: str, other: str) -> bool:
    one_number, other_number = one[:1] in DIGITS, other[:1] in DIGITS
    if one_number and other_number:
        return int(one) < int(other)
    if one == "" and other_number:
        return True
    if one == "pre" and other != "pre":
        return True
    if other == "pre":
        return False
    if other_number:
        return True
    if one_number:
        return False
    return one < other


@primops.add("parseDrvName", 1)
def parse_drv_name(name: Value) -> dict[str, Value]:
    """Name and version: the version starts after the first dash that no letter follows."""
    text = str(expect_plain(name))
    for at, char in enumerate(text):
        if char == "-" and at + 1 < len(text) and not (text[at + 1].isascii() and text[at + 1].isalpha()):
            return {"name": text[:at], "version": text[at + 1 :]}
    return {"name": text, "version": ""}
