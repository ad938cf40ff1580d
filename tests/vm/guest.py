"""A tiny real guest: systemd-boot, a Debian cloud kernel and a busybox initrd with a given /init, on one FAT disk."""

from __future__ import annotations

import lzma
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from invar.image.tools import Tools
from invar.sandbox.spec import Bind

_DIRECTORIES = ("bin", "dev", "proc", "sys", "etc", "run", "tmp", "root", "var", "modules")
_MODULES = ("net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net", "drivers/block/virtio_blk")

PROLOGUE = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
for module in failover net_failover virtio_net virtio_blk; do insmod /modules/$module.ko; done
"""

NETWORK = """
cat > /dhcp <<'SCRIPT'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add $ip/$mask dev $interface
ip route add default via $router
SCRIPT
chmod +x /dhcp
ip link set lo up
ip link set eth0 up
udhcpc -q -n -t 20 -T 1 -i eth0 -s /dhcp
"""

POWER_OFF = "\npoweroff -f\n"


@dataclass(frozen=True)
class GuestParts:
    """The files that a guest is made of, and the tools to put them on a disk."""

    tools: Tools
    kernel: Path
    modules: Path


def make_image(parts: GuestParts, directory: Path, script: str, options: str = "") -> Path:
    """A raw disk image that boots under UEFI and runs `script` as init, after the drivers are there."""
    esp = directory / "esp"
    (esp / "EFI/BOOT").mkdir(parents=True)
    (esp / "loader/entries").mkdir(parents=True)
    boot_loader = parts.tools.path("usr/lib/systemd/boot/efi/systemd-bootx64.efi")
    shutil.copyfile(boot_loader, esp / "EFI/BOOT/BOOTX64.EFI")
    shutil.copyfile(parts.kernel, esp / "vmlinuz")
    (esp / "initrd").write_bytes(_initrd(parts, PROLOGUE + script))
    (esp / "loader/loader.conf").write_text("timeout 0\n")
    entry = f"title guest\nlinux /vmlinuz\ninitrd /initrd\noptions console=ttyS0 quiet panic=-1 {options}\n"
    (esp / "loader/entries/guest.conf").write_text(entry)
    image = directory / "guest.raw"
    bind = Bind(directory, str(directory), read_only=False)
    parts.tools.run(["qemu-img", "convert", "-O", "raw", f"fat:16:{esp}", str(image)], binds=[bind])
    return image


def _initrd(parts: GuestParts, init: str) -> bytes:
    entries = [_cpio(name, stat.S_IFDIR | 0o755, b"") for name in _DIRECTORIES]
    entries.append(_cpio("bin/busybox", stat.S_IFREG | 0o755, parts.tools.path("usr/bin/busybox").read_bytes()))
    for module in _MODULES:
        (packed,) = parts.modules.glob(f"kernel/{module}.ko*")
        data = lzma.decompress(packed.read_bytes()) if packed.suffix == ".xz" else packed.read_bytes()
        entries.append(_cpio(f"modules/{Path(module).name}.ko", stat.S_IFREG | 0o644, data))
    entries.append(_cpio("init", stat.S_IFREG | 0o755, init.encode()))
    return b"".join([*entries, _cpio("TRAILER!!!", 0, b"")])


def _cpio(name: str, mode: int, data: bytes) -> bytes:
    """One member of a "newc" archive (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst)."""
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
