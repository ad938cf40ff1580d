"""What the kernel's device mapper says of a device, asked by ioctl (linux/dm-ioctl.h): no program is needed for it."""

from __future__ import annotations

import fcntl
import struct
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.system.proof import LayerState

CONTROL = Path("/dev/mapper/control")

_HEADER = struct.Struct("<3I I I I i I I I Q 128s 129s 7s")
"""struct dm_ioctl: version, data_size, data_start, target_count, open_count, flags, event_nr, padding, dev, name, uuid,
data; 312 bytes with the 8-byte alignment of `dev` kept by `padding`."""
_TARGET = struct.Struct("<QQ i I 16s")
"""struct dm_target_spec: sector_start, length, status, next, target_type."""
_TABLE_STATUS = 0xC138FD0C
"""DM_TABLE_STATUS: _IOWR(0xfd, 12, struct dm_ioctl)."""
_VERSION = (4, 0, 0)
_SIZE = 16 * 1024
_READONLY_FLAG = 1 << 0
_STATUS_TABLE_FLAG = 1 << 4
_BUFFER_FULL_FLAG = 1 << 8

_VERITY_ROOT = 8
"""Index of the root hash in verity's table (Documentation/admin-guide/device-mapper/verity.rst)."""


@dataclass(frozen=True, slots=True)
class Target:
    """One line of a device's table: first sector, sectors, the target's type, and its parameters or status."""

    start: int
    length: int
    kind: str
    text: str


def table(name: str) -> tuple[Target, ...]:
    """The table that a device is made of, as the kernel has it. Raises InvarError when there is no such device."""
    return _ask(name, _STATUS_TABLE_FLAG)


def status(name: str) -> tuple[Target, ...]:
    """The state of each target of a device. Raises InvarError when there is no such device."""
    return _ask(name, 0)


def verity_state(name: str) -> tuple[str, LayerState]:
    """The root hash that a verity device is proved against (hex), and whether every block read so far matched.

    The root hash is "" for a device that is missing or is no verity device.
    """
    try:
        tables, states = table(name), status(name)
    except InvarError:
        return "", "missing"
    return verity_of(tables, states)


def verity_of(tables: tuple[Target, ...], states: tuple[Target, ...]) -> tuple[str, LayerState]:
    """As `verity_state`, out of the kernel's answers: status "V" is valid, "C" is corrupted."""
    if [target.kind for target in tables] != ["verity"] or [target.kind for target in states] != ["verity"]:
        return "", "missing"
    root = tables[0].text.split()[_VERITY_ROOT]
    return root, "verified" if states[0].text.split()[:1] == ["V"] else "corrupted"


def targets_of(answer: bytes, start: int, count: int) -> tuple[Target, ...]:
    """Parse `count` target specs that begin at `start`; each says where, from the first, the next one lies."""
    found = []
    at = start
    for _ in range(count):
        sector, length, _status, following, kind = _TARGET.unpack_from(answer, at)
        text = answer[at + _TARGET.size : start + following].split(b"\0", 1)[0]
        found.append(Target(sector, length, _text(kind), text.decode(errors="replace").strip()))
        at = start + following
    return tuple(found)


def _ask(name: str, flags: int) -> tuple[Target, ...]:
    header = _HEADER.pack(*_VERSION, _SIZE, _HEADER.size, 0, 0, flags, 0, 0, 0, name.encode(), b"", b"")
    buffer = bytearray(header.ljust(_SIZE, b"\0"))
    try:
        with CONTROL.open("r+b", buffering=0) as control:
            fcntl.ioctl(control, _TABLE_STATUS, buffer)
    except OSError as error:
        raise InvarError(f"the device mapper has no answer about {name}", where=str(CONTROL), why=str(error)) from error
    fields = _HEADER.unpack_from(buffer)
    if fields[7] & _BUFFER_FULL_FLAG:
        raise InvarError(f"the table of the device {name} is longer than {_SIZE} bytes")
    return targets_of(bytes(buffer), fields[4], fields[5])


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode(errors="replace")
