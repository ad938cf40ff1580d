"""EC2's names of NVMe volumes, for udev: `/dev/sdf`, as the volume was attached, on whatever NVMe device it came.

Follows linux/nvme_ioctl.h and NVM Express Base Specification 5.17.2.1 (Identify Controller), whose vendor bytes
hold the name ("Device names for volumes", Amazon EBS User Guide). Run by itself by udev: it imports nothing of Invar.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import struct
import sys

EBS = "Amazon Elastic Block Store"
INSTANCE_STORE = "Amazon EC2 NVMe Instance Storage"
IDENTIFY_BYTES = 4096

_IOCTL_ADMIN_CMD = 0xC0484E41
_PASSTHRU = struct.Struct("<BBH I II Q Q II 6I II")
"""struct nvme_passthru_cmd: opcode, flags, rsvd1, nsid, cdw2, cdw3, metadata, addr, metadata_len, data_len, cdw10 to
cdw15, timeout_ms, result."""
_IDENTIFY = 0x06
_CONTROLLER = 1
_MODEL = slice(24, 64)
_VENDOR_NAME = slice(3072, 3104)
_NAME = re.compile(r"[a-z][a-z0-9]{1,30}")


def names_of(identify: bytes) -> tuple[str, ...]:
    """The names, without /dev/, that a controller's identify data give its volume; none for what is not EC2's.

    An EBS volume has that of its attachment ("/dev/sdf", "xvdf"), an instance store volume "ephemeral0:sdb" or
    "ephemeral0:none".
    """
    if len(identify) < IDENTIFY_BYTES or _text(identify[_MODEL]) not in (EBS, INSTANCE_STORE):
        return ()
    said = _text(identify[_VENDOR_NAME]).split(":")
    names = (name.removeprefix("/dev/") for name in said)
    return tuple(dict.fromkeys(name for name in names if name != "none" and _NAME.fullmatch(name)))


def identify_controller(device: str) -> bytes:
    """The 4096 bytes that the controller of an NVMe device says of itself. Raises OSError."""
    data = ctypes.create_string_buffer(IDENTIFY_BYTES)
    command = _PASSTHRU.pack(
        *(_IDENTIFY, 0, 0, 0, 0, 0, 0, ctypes.addressof(data), 0, IDENTIFY_BYTES), *(_CONTROLLER, 0, 0, 0, 0, 0), 0, 0
    )
    descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _IOCTL_ADMIN_CMD, command)
    finally:
        os.close(descriptor)
    return data.raw


def main(arguments: list[str]) -> int:
    """Print the names of the device, for udev's %c. Status 1, silently, when it has none."""
    if len(arguments) != 1:
        print("usage: nvme_volume.py /dev/nvme1n1", file=sys.stderr)
        return 2
    try:
        names = names_of(identify_controller(arguments[0]))
    except OSError as error:
        print(f"{arguments[0]}: {error.strerror}", file=sys.stderr)
        return 1
    print(" ".join(names))
    return 0 if names else 1


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii", "replace").strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
