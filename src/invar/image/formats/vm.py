"""A runner: one executable file, a shell script with firmware and disk behind it, that starts the host's QEMU on it.

Behind the script, at multiples of 64 KiB, lie OVMF's code, its variables and the disk as qcow2; QEMU's block layer
opens each in place (`raw` driver with `offset` and `size`), so that nothing is unpacked. What the machine writes goes
into an overlay in the current directory, as with the runner of NixOS, whose variables are heeded too.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.assemble import Image
from invar.image.formats.format import open_new
from invar.image.formats.qcow2 import Qcow2
from invar.image.sparse import copy_into, write_at
from invar.image.tools import Tools

STEP = 64 << 10
SUPPORTED = "amd64"
FIRMWARE_CODE = "usr/share/OVMF/OVMF_CODE_4M.fd"
FIRMWARE_VARIABLES = "usr/share/OVMF/OVMF_VARS_4M.fd"

EMULATED_CPU = "max,la57=off,erms=off,fsrm=off"
"""The processor that QEMU emulates quickest. Five levels of page tables only cost time, and where `rep movsb` is said
to be fast the kernel and the C library use it, which QEMU carries out a byte at a time.
"""

SCRIPT = """\
#!/bin/sh
# Starts an Invar system in QEMU: see --help. The rest of this file is the firmware and the disk.
set -eu
self=$(readlink -f "$0")
system={name}
digest={digest}
disk=${{NIX_DISK_IMAGE:-./$system.qcow2}}

usage() {{
    cat <<EOF
usage: $(basename "$0") [--memory MIB] [--cpus N] [--port HOST:GUEST]... [--ephemeral] [-- QEMU-OPTION...]

Boots $system, system digest $digest, in this computer's QEMU (qemu-system-x86_64, qemu-img). The serial console is
the terminal; Ctrl-A X ends the machine.
--port 2222:22 leads 127.0.0.1:2222 to the machine's port 22. What the machine writes is kept in
$disk, or with --ephemeral nowhere. NIX_DISK_IMAGE, QEMU_OPTS and QEMU_NET_OPTS are heeded as by NixOS's runner.
EOF
}}

fail() {{
    echo "$(basename "$0"): $*" >&2
    exit 1
}}

# A file name in a QEMU option, where a comma is doubled.
escaped() {{
    printf %s "$1" | sed 's/,/,,/g'
}}

number() {{
    case ${{2-}} in
    "" | *[!0-9]*) fail "$1 takes a number" ;;
    esac
}}

memory=1024 cpus=2 forwards= ephemeral=
while [ $# -gt 0 ]; do
    case $1 in
    --memory) number "$@"; memory=$2; shift ;;
    --cpus) number "$@"; cpus=$2; shift ;;
    --port)
        host=${{2-}}
        number --port "${{host%%:*}}"
        number --port "${{host#*:}}"
        forwards="$forwards,hostfwd=tcp:127.0.0.1:${{host%%:*}}-:${{host#*:}}"
        shift
        ;;
    --ephemeral) ephemeral=yes ;;
    --help | -h) usage; exit ;;
    --) shift; break ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

for program in qemu-system-x86_64 qemu-img; do
    command -v "$program" >/dev/null || fail "there is no $program here: install QEMU"
done
case $self$disk in
*[\\"\\\\]*) fail "QEMU cannot be told of a path with a quote or a backslash: $self, $disk" ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[ -z "$ephemeral" ] || disk=$scratch/disk.qcow2
tail -c +$(({variables} + 1)) "$self" | head -c {variables_size} >"$scratch/variables"
inside() {{
    printf '{{"driver":"raw","offset":%s,"size":%s,"read-only":true,"file":{{"driver":"file","filename":"%s"}}}}' \\
        "$1" "$2" "$self"
}}
backing="json:{{\\"driver\\":\\"qcow2\\",\\"file\\":$(inside {disk} {disk_size})}}"
if [ -e "$disk" ]; then
    qemu-img rebase -q -u -f qcow2 -b "$backing" -F qcow2 "$disk" || fail "$disk is no disk of this machine"
else
    qemu-img create -q -f qcow2 -b "$backing" -F qcow2 "$disk" || fail "$disk cannot be made"
fi

accelerator=tcg,thread=multi cpu={emulated_cpu}
if [ -r /dev/kvm ] && [ -w /dev/kvm ] && [ -z "${{INVAR_NO_KVM-}}" ]; then
    accelerator=kvm cpu=host
fi
code=$(inside {code} {code_size})
# QEMU_OPTS holds several words.
# shellcheck disable=SC2086
set -- "$@" ${{QEMU_OPTS-}}
qemu-system-x86_64 -name "$(escaped "$system")" -nodefaults -display none \\
    -machine q35,smm=off,pflash0=code,pflash1=variables \\
    -accel "$accelerator" -cpu "$cpu" -m "${{memory}}M" -smp "$cpus" \\
    -blockdev "{{\\"node-name\\":\\"code\\",${{code#?}}" \\
    -blockdev "driver=file,node-name=variables,filename=$(escaped "$scratch/variables")" \\
    -drive "if=none,id=disk,format=qcow2,discard=unmap,file=$(escaped "$disk")" -device nvme,drive=disk,serial=invar \\
    -netdev "user,id=net$forwards${{QEMU_NET_OPTS:+,$QEMU_NET_OPTS}}" -device virtio-net-pci,netdev=net,romfile= \\
    -device virtio-rng-pci -serial mon:stdio "$@"
"""


@dataclass(frozen=True, slots=True)
class Vm:
    """To try a system on a computer that has QEMU and nothing of Invar."""

    name: str = "vm"
    aliases: tuple[str, ...] = ("vm-nogui", "vm-bootloader")
    suffix: str = "vm"
    description: str = "one executable that boots the system in the host's QEMU; the firmware is in it"
    is_disk: bool = False

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write script, firmware and disk. Raises InvarError for an architecture without a runner."""
        if image.architecture != SUPPORTED:
            raise InvarError(f"there is no runner for {image.architecture}", hint="use the format qcow2")
        disk = path.with_name("disk.qcow2")
        Qcow2().write(image, disk, tools)
        files = [tools.path(FIRMWARE_CODE), tools.path(FIRMWARE_VARIABLES), disk]
        sizes = [file.stat().st_size for file in files]
        places, at = [], STEP
        for size in sizes:
            places.append(at)
            at += -(-size // STEP) * STEP
        script = SCRIPT.format(
            name=shlex.quote(image.base_name),
            digest=image.system_digest[:12],
            code=places[0],
            code_size=sizes[0],
            variables=places[1],
            variables_size=sizes[1],
            disk=places[2],
            disk_size=sizes[2],
            emulated_cpu=EMULATED_CPU,
        ).encode()
        with open_new(path) as target:
            os.fchmod(target, 0o755)
            os.ftruncate(target, at)
            write_at(target, 0, script + b"exit $?\n".ljust(STEP - len(script), b"\n"))
            for place, file in zip(places, files, strict=True):
                copy_into(target, place, file)
        disk.unlink()
