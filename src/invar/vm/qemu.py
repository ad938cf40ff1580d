"""The command line of QEMU for a machine like an EC2 instance: UEFI, NVMe disk, network card, serial console."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from invar.image.formats.vm import EMULATED_CPU

Accelerator = Literal["kvm", "tcg"]
DiskDevice = Literal["nvme", "virtio-blk-pci", "ide-cd"]
DiskFormat = Literal["raw", "qcow2", "vmdk", "vhdx", "vpc"]
"""Of the image that a machine starts from, in QEMU's names."""

METADATA_ADDRESS = "169.254.169.254"
GUEST_ADDRESS = "169.255.0.15"
_NETWORK = "169.254.0.0/15"
_GATEWAY = "169.255.0.1"
_NAME_SERVER = "169.255.0.2"
"""The user network must hold the metadata address. A /15 also holds 169.255/16, whose addresses, unlike 169.254/16, are
no link-local ones, which resolvers and network managers in the guest treat as no connection at all.
"""

SERIAL_FD = 100
QMP_FD = 101
LIFELINE_FD = 102
"""Descriptors that the supervisor hands down: fixed, because the command line names them before they exist."""

_FIRST_VERSION_WITH_CPU_MAX = (8, 0)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a machine calls itself, derived from its instance id."""

    instance_id: str
    volume_id: str
    product_uuid: str
    mac: str

    @classmethod
    def of_instance(cls, instance_id: str) -> Identity:
        """Volume, DMI product UUID (EC2's begin with "ec2") and a locally administered MAC address."""
        seed = sha256(instance_id.encode()).hexdigest()
        product = uuid.UUID("ec2" + seed[3:32], version=4)
        return cls(
            instance_id,
            "vol-0" + seed[32:48],
            str(product),
            "02:" + ":".join(seed[i : i + 2] for i in range(48, 58, 2)),
        )


@dataclass(frozen=True, slots=True)
class Forward:
    """TCP `host_port` (0: a free one) of the host's `address` leads to `guest_port`."""

    guest_port: int
    host_port: int = 0
    address: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Hardware:
    """A virtual machine. `disk` (qcow2) and `firmware_vars` lie in QEMU's working directory; `memory` is in MiB."""

    name: str
    identity: Identity
    instance_type: str
    disk: str
    disk_device: DiskDevice
    firmware_code: str
    firmware_vars: str
    memory: int
    cpus: int
    accelerator: Accelerator
    forwards: tuple[Forward, ...]
    metadata_relay: tuple[str, ...]


def arguments(hardware: Hardware, version: tuple[int, int]) -> list[str]:
    """QEMU's arguments. The serial port and the monitor are sockets on SERIAL_FD and QMP_FD, to be inherited."""
    return [
        *_common(hardware, version),
        *_firmware(hardware.firmware_code, hardware.firmware_vars),
        *_smbios(hardware),
        *_disk(hardware),
        *_network(hardware),
        *("-chardev", f"socket,id=serial,fd={SERIAL_FD}", "-serial", "chardev:serial"),
    ]


def firmware_only_arguments(
    firmware_code: str, firmware_vars: str, accelerator: Accelerator, version: tuple[int, int]
) -> list[str]:
    """A machine without disk or network: what a test of the accelerator runs. Sockets as in `arguments`."""
    return [
        *_board(accelerator, version),
        *("-m", "256M"),
        *_firmware(firmware_code, firmware_vars),
        *("-chardev", f"socket,id=serial,fd={SERIAL_FD}", "-serial", "chardev:serial"),
    ]


def cpu_model(accelerator: Accelerator, version: tuple[int, int]) -> str:
    """The processor to show. Emulated, `max` panics stock kernels before QEMU 8."""
    if accelerator == "kvm":
        return "host"
    return EMULATED_CPU if version >= _FIRST_VERSION_WITH_CPU_MAX else "Nehalem"


def _common(hardware: Hardware, version: tuple[int, int]) -> list[str]:
    return [
        *("-name", hardware.name),
        *_board(hardware.accelerator, version),
        *("-m", f"{hardware.memory}M"),
        *("-smp", str(hardware.cpus)),
    ]


def _board(accelerator: Accelerator, version: tuple[int, int]) -> list[str]:
    return [
        *("-nodefaults", "-no-user-config"),
        *("-display", "none"),
        *("-machine", "q35,smm=off,vmport=off"),
        *("-accel", "kvm" if accelerator == "kvm" else "tcg,thread=multi"),
        *("-cpu", cpu_model(accelerator, version)),
        *("-chardev", f"socket,id=monitor,fd={QMP_FD}", "-mon", "chardev=monitor,mode=control"),
    ]


def _firmware(code: str, variables: str) -> list[str]:
    return [
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_escaped(code)}"),
        *("-drive", f"if=pflash,unit=1,format=raw,file={_escaped(variables)}"),
    ]


def _smbios(hardware: Hardware) -> list[str]:
    """DMI data as a Nitro instance shows them."""
    identity = hardware.identity
    product = identity.product_uuid
    tables = (
        "type=0,vendor=Amazon EC2,version=1.0,date=10/16/2017,uefi=on",
        f"type=1,manufacturer=Amazon EC2,product={hardware.instance_type},serial={product},uuid={product}",
        f"type=2,manufacturer=Amazon EC2,asset={identity.instance_id}",
        "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
    )
    return [word for table in tables for word in ("-smbios", table)]


def _disk(hardware: Hardware) -> list[str]:
    """The root volume. The machine is thrown away, so that what the guest flushes need not reach the host's disk."""
    serial = hardware.identity.volume_id.replace("-", "")
    return [
        *(
            "-drive",
            f"if=none,id=root,format=qcow2,cache=unsafe,discard=unmap,detect-zeroes=unmap,file={_escaped(hardware.disk)}",
        ),
        *("-device", f"{hardware.disk_device},drive=root,serial={serial[:20]},bootindex=0"),
    ]


def _network(hardware: Hardware) -> list[str]:
    forwards = "".join(f",hostfwd=tcp:{f.address}:{f.host_port}-:{f.guest_port}" for f in hardware.forwards)
    relay = _escaped(shlex.join(hardware.metadata_relay))
    return [
        "-netdev",
        f"user,id=net,net={_NETWORK},host={_GATEWAY},dns={_NAME_SERVER},dhcpstart={GUEST_ADDRESS},domainname=ec2.internal,ipv6=off"
        f"{forwards},guestfwd=tcp:{METADATA_ADDRESS}:80-cmd:{relay}",
        *("-device", f"virtio-net-pci,netdev=net,mac={hardware.identity.mac},romfile="),
    ]


def _escaped(value: str) -> str:
    """A value in a QEMU option list, where a comma is doubled."""
    return value.replace(",", ",,")


def create_overlay_arguments(disk: str, image: str, image_format: str, size: int | None) -> Sequence[str]:
    """qemu-img's arguments for a copy-on-write `disk` over `image`, `size` bytes large (None: as the image)."""
    return ["create", "-q", "-f", "qcow2", "-F", image_format, "-b", image, disk, *([str(size)] if size else [])]
