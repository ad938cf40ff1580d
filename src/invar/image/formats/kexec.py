"""A kexec bundle, a tar file: a running Linux starts the system with its kernel, initrd and script, wholly from RAM.

The initrd is that of the disks with a second archive behind it, which holds both layers (the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst): what init.sh finds in /layers it opens by verity as it does
a partition. The system digest is that of the disks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.assemble import Image
from invar.image.cpio import CpioFile, cpio_pieces
from invar.image.formats.tarball import END, write_member
from invar.image.pieces import Piece, total_size
from invar.image.tools import Tools

SCRIPT = """\
#!/bin/sh
# Boots {name} ({digest}) by kexec, wholly from memory: it takes {memory} MiB at least. No disk is touched.
# kexec-boot --load only loads it: `systemctl kexec` or `kexec --exec` then starts it.
set -eu
here=$(dirname "$(readlink -f "$0")")
if ! command -v kexec >/dev/null; then
    echo "kexec-boot: there is no kexec here: install kexec-tools" >&2
    exit 1
fi
case ${{1-}} in
"" | --load) ;;
*)
    echo "usage: kexec-boot [--load]" >&2
    exit 2
    ;;
esac
kexec --load "$here/kernel" --initrd="$here/initrd" --command-line='{cmdline}'
[ "${{1-}}" = --load ] && exit
if [ -d /run/systemd/system ]; then
    exec systemctl kexec
fi
exec kexec --exec
"""
SYSTEM_MIB = 512


@dataclass(frozen=True, slots=True)
class Kexec:
    """For machines that run some other Linux: rescue, installation, a host whose disk must not be used."""

    name: str = "kexec"
    aliases: tuple[str, ...] = ("kexec-bundle",)
    suffix: str = "kexec.tar"
    description: str = "kernel, initrd with both layers, and a script: boots from RAM out of a running Linux"
    is_disk: bool = False

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the archive. Raises InvarError for a layer of 4 GiB or more, which no initrd holds."""
        initrd = initrd_pieces(image)
        memory = 2 * total_size(initrd) // (1 << 20) + SYSTEM_MIB
        script = SCRIPT.format(
            name=image.base_name,
            digest=image.system_digest[:12],
            memory=memory,
            cmdline=image.cmdline.replace("'", "'\\''"),
        )
        with path.open("xb") as output:
            write_member(output, "kexec-boot", [script.encode()], epoch=image.epoch, mode=0o755)
            write_member(output, "kernel", [image.kernel], epoch=image.epoch)
            write_member(output, "initrd", initrd, epoch=image.epoch)
            write_member(output, "cmdline", [image.cmdline.encode() + b"\n"], epoch=image.epoch)
            output.write(END)


def initrd_pieces(image: Image) -> list[Piece]:
    """The initrd with the layers in it, as a stream: archives begin at multiples of four bytes."""
    layers = {f"layers/{layer.kind}.img": CpioFile(layer.image, 0o444) for layer in (image.packages, image.config)}
    try:
        archive = cpio_pieces(layers)
    except ValueError as error:
        raise InvarError("the system is too large for a kexec bundle", why=str(error)) from error
    return [image.initrd, bytes(-image.initrd.stat().st_size % 4), *archive]
