"""A layer in a file as a verified, mounted file system: loop device, dm-verity and EROFS, by the kernel's interfaces.

Follows linux/loop.h and linux/dm-ioctl.h. Nothing has to be cleaned up: a loop device clears itself when the verity
device on it goes, and that goes when the last mount of it, in whatever namespace, is gone (DM_DEFERRED_REMOVE).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from invar.core.errors import InvarError
from invar.machine.generations import LayerRecord
from invar.machine.mounts import mount_erofs, unmount

LOOP_CONTROL = Path("/dev/loop-control")
DM_CONTROL = Path("/dev/mapper/control")

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CLR_FD = 0x4C01
_LO_FLAGS_READ_ONLY = 1
_LO_FLAGS_AUTOCLEAR = 4
_LOOP_INFO = struct.Struct("<QQQQQIIII64s64s32s2Q")
"""struct loop_info64."""
_LOOP_CONFIG = struct.Struct(f"<II{_LOOP_INFO.size}s8Q")
"""struct loop_config."""
_LOOP_ATTEMPTS = 50

_DM = struct.Struct("<3I I I I i I I I Q 128s 129s 7s")
"""struct dm_ioctl."""
_DM_TARGET = struct.Struct("<QQ i I 16s")
_DM_VERSION = (4, 0, 0)
_DM_SIZE = 4096
_DM_READONLY = 1 << 0
_DM_SUSPEND = 1 << 1
_DM_DEFERRED_REMOVE = 1 << 17


def _dm_request(number: int) -> int:
    return 0xC1380000 | 0xFD00 | number


_DM_DEV_CREATE, _DM_DEV_REMOVE, _DM_DEV_SUSPEND, _DM_TABLE_LOAD = map(_dm_request, (3, 4, 6, 9))
_SECTORS_A_BLOCK = 8


def mount_layer(image: Path, layer: LayerRecord, name: str, place: Path) -> None:
    """Mount the layer whose bytes lie at `image` on `place`; its verity device is called `name`.

    Every block is checked against the root hash as it is read, the first of them now. Raises InvarError when the file
    is not the layer, or the kernel cannot.
    """
    device = _attach(image)
    try:
        minor = _create_verity(name, device, layer)
    except OSError as error:
        raise InvarError("the layer cannot be verified by the kernel", where=str(image), why=error.strerror) from error
    finally:
        os.close(device)
    try:
        place.mkdir(parents=True, exist_ok=True)
        mount_erofs(f"/dev/dm-{minor}", place)
    except OSError as error:
        raise InvarError(
            "the layer does not match its root hash", where=str(image), why=f"{layer.root_hash}: {error.strerror}"
        ) from error
    finally:
        remove_when_unused(name)


def unmount_layer(place: Path) -> None:
    """Take the mount away; the device goes with its last user."""
    unmount(place)
    with suppress(OSError):
        place.rmdir()


def remove_when_unused(name: str) -> None:
    """Let the device mapper remove a device as soon as nothing holds it. One that is gone already is fine."""
    with suppress(FileNotFoundError, OSError):
        _dm(_DM_DEV_REMOVE, name, _DM_DEFERRED_REMOVE)


def release(name: str) -> None:
    """Have a device of the initrd's, and the loop device below it if there is one, go with the last mount of it."""
    for loop in _below(name):
        # Of a device that is in use this sets LO_FLAGS_AUTOCLEAR (loop_clr_fd in drivers/block/loop.c).
        with suppress(OSError), Path(f"/dev/{loop}").open("rb", buffering=0) as device:
            fcntl.ioctl(device, _LOOP_CLR_FD)
    remove_when_unused(name)


def _below(name: str) -> list[str]:
    """The loop devices that a device-mapper device lies on."""
    return [
        path.name
        for one in Path("/sys/block").glob("dm-*")
        if (one / "dm/name").read_text().strip() == name
        for path in (one / "slaves").iterdir()
        if path.name.startswith("loop")
    ]


def _attach(image: Path) -> int:
    """A block device with the file's bytes, as an open descriptor. A loop device goes when nothing has it open."""
    if not LOOP_CONTROL.exists():
        subprocess.run(["modprobe", "loop"], capture_output=True, check=False)
    try:
        backing = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvarError("a layer cannot be read", where=str(image), why=error.strerror) from error
    if stat.S_ISBLK(os.fstat(backing).st_mode):
        return backing
    try:
        info = _LOOP_INFO.pack(
            0, 0, 0, 0, 0, 0, 0, 0, _LO_FLAGS_READ_ONLY | _LO_FLAGS_AUTOCLEAR, os.fsencode(image)[-63:], b"", b"", 0, 0
        )
        for _ in range(_LOOP_ATTEMPTS):
            with LOOP_CONTROL.open("r+b", buffering=0) as control:
                number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            device = os.open(f"/dev/loop{number}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, _LOOP_CONFIG.pack(backing, 4096, info, *[0] * 8))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
                continue
            return device
    except OSError as error:
        raise InvarError("no loop device can be had for a layer", where=str(image), why=error.strerror) from error
    finally:
        os.close(backing)
    raise InvarError("no loop device can be had for a layer", where=str(image), why="all are taken")


def _create_verity(name: str, loop: int, layer: LayerRecord) -> int:
    """Make the verity device; its minor number. Raises OSError."""
    number = os.fstat(loop).st_rdev
    loop_device = f"{os.major(number)}:{os.minor(number)}"
    blocks = layer.data_blocks
    parameters = f"1 {loop_device} {loop_device} 4096 4096 {blocks} {blocks} sha256 {layer.root_hash} {layer.salt}"
    created = _dm(_DM_DEV_CREATE, name, 0)
    try:
        text = parameters.encode() + b"\0"
        size = -(-(_DM_TARGET.size + len(text)) // 8) * 8
        target = _DM_TARGET.pack(0, blocks * _SECTORS_A_BLOCK, 0, size, b"verity") + text
        _dm(_DM_TABLE_LOAD, name, _DM_READONLY, target, targets=1)
        _dm(_DM_DEV_SUSPEND, name, _DM_READONLY)
    except OSError:
        with suppress(OSError):
            _dm(_DM_DEV_REMOVE, name, 0)
        raise
    return os.minor(_DM.unpack_from(created)[10])


def _dm(request: int, name: str, flags: int, payload: bytes = b"", *, targets: int = 0) -> bytes:
    header = _DM.pack(*_DM_VERSION, _DM_SIZE, _DM.size, targets, 0, flags, 0, 0, 0, name.encode(), b"", b"")
    buffer = bytearray((header + payload).ljust(_DM_SIZE, b"\0"))
    with DM_CONTROL.open("r+b", buffering=0) as control:
        fcntl.ioctl(control, request, buffer)
    return bytes(buffer)
