"""The units that systemd makes of /etc/fstab, as systemd-fstab-generator(8) does, for a switch to compare them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_FIELDS = 4
_NETWORK_TYPES = ("nfs", "nfs4", "cifs", "ceph", "glusterfs")
_OCTAL = re.compile(r"\\([0-7]{3})")
_PLAIN = re.compile(r"[A-Za-z0-9:_.]")
_NOT_MOUNTED = ("swap", "none")


@dataclass(frozen=True, slots=True)
class FstabUnit:
    """A unit by name, its text, and the target that pulls it in (None: nothing does)."""

    name: str
    text: str
    wanted_by: str | None


def fstab_units(text: str, resolve: Callable[[str], str] = os.path.realpath) -> tuple[FstabUnit, ...]:
    """The mounts, and automounts, of an fstab. `resolve` follows the links of a mount point, as the generator does."""
    found = []
    for line in text.splitlines():
        fields = [_OCTAL.sub(lambda match: chr(int(match[1], 8)), word) for word in line.split()]
        if len(fields) < _FIELDS or fields[0].startswith("#") or fields[1] in _NOT_MOUNTED:
            continue
        what, where, kind, joined = fields[:_FIELDS]
        where, options = resolve(where), joined.split(",")
        name = escape_path(where)
        target = "remote-fs.target" if "_netdev" in options or kind in _NETWORK_TYPES else "local-fs.target"
        lines = ("[Mount]", f"What={what}", f"Where={where}", f"Type={kind}", f"Options={joined}", "")
        automount = "x-systemd.automount" in options
        wanted = None if "noauto" in options else target
        found.append(FstabUnit(f"{name}.mount", "\n".join(lines), None if automount else wanted))
        if automount:
            found.append(FstabUnit(f"{name}.automount", f"[Automount]\nWhere={where}\n", wanted))
    return tuple(found)


def read_fstab(etc: Path) -> tuple[FstabUnit, ...]:
    """The units of the fstab in `etc`, of which there may be none."""
    try:
        return fstab_units((etc / "fstab").read_text(errors="replace"))
    except FileNotFoundError:
        return ()


def escape_path(path: str) -> str:
    """A path as the name of a unit, without its suffix: `systemd-escape --path`."""
    inside = "/".join(part for part in path.split("/") if part)
    if not inside:
        return "-"
    escaped = (
        "-" if letter == "/" else letter if _PLAIN.fullmatch(letter) else _hexadecimal(letter) for letter in inside
    )
    text = "".join(escaped)
    return _hexadecimal(".") + text[1:] if text.startswith(".") else text


def _hexadecimal(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode())
