"""The initrd: busybox, dmsetup, e2fsck, a few modules and init.sh in one compressed cpio archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from invar.core.canonical import digest
from invar.core.events import Report
from invar.image.cpio import CpioDevice, CpioFile, CpioLink, CpioNode, write_cpio
from invar.image.elf import closure
from invar.image.kmodules import ModuleTree
from invar.image.layer import PackagesLayer
from invar.image.tools import Tools
from invar.sandbox.spec import Bind
from invar.store.objects import Store

KIND = "initrd"

MODULES = ("virtio_blk", "virtio_pci", "nvme", "ext4", "dm_verity", "erofs", "overlay", "loop")
"""Without these no image boots."""

OPTIONAL_MODULES = {
    "amd64": ("xen_blkfront", "sha256_ssse3", "crc32c_intel"),
    "arm64": ("sha2_ce", "sha256_arm64"),
}
"""Loaded where the kernel has them: an older instance type's disk, faster hashing."""

LATE_MODULES = (
    *("virtio_scsi", "hv_storvsc", "vmw_pvscsi", "ahci", "ata_piix", "xhci_pci", "uas", "usb_storage"),
    *("sd_mod", "sr_mod", "isofs"),
)
"""Loaded where the kernel has them and when the layers are in files, or on no disk that the others drive: what other
hypervisors' disks, CDs and sticks take."""

PROGRAMS = ("usr/sbin/dmsetup", "usr/sbin/e2fsck")
BUSYBOX = "usr/bin/busybox"
APPLETS = ("insmod", "losetup", "mkdir", "mount", "sh", "switch_root", "umount", "usleep")
MOUNT_POINTS = ("dev", "proc", "run", "sys", "sysroot", "tmp")
INIT = Path(__file__).with_name("init.sh")

LZ4_END = bytes(4)
"""A chunk of length 0. The legacy frame has no end of its own, and the EFI stub appends archives: without it the kernel
takes them for further chunks (its lib/decompress_unlz4.c ends at a length of 0)."""


@dataclass(frozen=True, slots=True)
class Initrd:
    """A compressed initrd in the store; `sha256` is lower-case hex of the file."""

    path: Path
    sha256: str


def build_initrd(
    packages: PackagesLayer, modules: Iterable[str], architecture: str, tools: Tools, store: Store, report: Report
) -> Initrd:
    """The initrd for a packages layer's kernel with `modules` besides the usual ones; found again by what goes into it.

    Raises InvarError for a module that the kernel does not have.
    """
    init = INIT.read_bytes()
    wanted = (*MODULES, *sorted(set(modules)))
    key = digest(
        {
            "applets": APPLETS,
            "architecture": architecture,
            "init": hashlib.sha256(init).hexdigest(),
            "kernel": packages.kernel_version,
            "late": LATE_MODULES,
            "modules": wanted,
            "optional": OPTIONAL_MODULES[architecture],
            "packages": packages.layer.key,
            "programs": PROGRAMS,
            "end": LZ4_END.hex(),
            "tools": tools.root.name,
        }
    )
    with report.stage("initrd") as stage, store.creating(KIND, key) as temporary:
        stage.cached = temporary is None
        if temporary is not None:
            tree = ModuleTree.read(module_directory(packages))
            archive = write_cpio(
                {
                    **_module_nodes(tree, wanted, OPTIONAL_MODULES[architecture]),
                    **_program_nodes(tools.root, architecture),
                    "init": CpioFile(init, 0o755),
                    "dev/console": CpioDevice(5, 1),
                },
                MOUNT_POINTS,
            )
            temporary.mkdir()
            _compress(archive, temporary, tools)
    path = store.path(KIND, key) / "initrd"
    return Initrd(path, (path.with_suffix(".sha256")).read_text().strip())


def programs_of(root: Path, architecture: str) -> dict[str, Path]:
    """What an initrd takes from the tools at `root`: programs and their libraries, path inside → file."""
    return closure((*PROGRAMS, BUSYBOX), root, architecture)


def module_directory(packages: PackagesLayer) -> Path:
    """Where the modules of the layer's kernel are, whether or not /lib is a link to /usr/lib."""
    merged = packages.modules / "usr/lib/modules" / packages.kernel_version
    return merged if merged.is_dir() else packages.modules / "lib/modules" / packages.kernel_version


def _module_nodes(tree: ModuleTree, wanted: Sequence[str], optional: Sequence[str]) -> dict[str, CpioNode]:
    """The modules, and two lists in their order of loading: what is loaded at once, and what later if at all.

    The late ones stay compressed as Debian has them, which takes a third of the room: insmod unpacks them.
    """
    first = tree.load_order(wanted, optional)
    late = [file for file in tree.load_order((), LATE_MODULES) if file not in first]
    at_once = {PurePosixPath(file).name.partition(".")[0] + ".ko": tree.read_module(file) for file in first}
    later = {PurePosixPath(file).name: (tree.root / file).read_bytes() for file in late}
    nodes: dict[str, CpioNode] = {
        f"lib/modules/{name}": CpioFile(content) for name, content in (at_once | later).items()
    }
    for list_, names in (("modules", at_once), ("modules-late", later)):
        nodes[f"etc/{list_}"] = CpioFile("".join(f"{name}\n" for name in names).encode())
    return nodes


def _program_nodes(root: Path, architecture: str) -> dict[str, CpioNode]:
    nodes: dict[str, CpioNode] = {
        inside: CpioFile(file.read_bytes(), 0o755) for inside, file in programs_of(root, architecture).items()
    }
    nodes.update({f"bin/{applet}": CpioLink(f"/{BUSYBOX}") for applet in APPLETS})
    return nodes


def _compress(archive: bytes, directory: Path, tools: Tools) -> None:
    """LZ4 in its legacy frame: the one that the kernel unpacks, and fastest."""
    plain = directory / "cpio"
    plain.write_bytes(archive)
    bind = Bind(directory, "/initrd", read_only=False)
    tools.run(["lz4", "-l", "-9", "--quiet", "--force", "/initrd/cpio", "/initrd/initrd"], binds=[bind])
    plain.unlink()
    with (directory / "initrd").open("ab") as file:
        file.write(LZ4_END)
    sha256 = hashlib.sha256((directory / "initrd").read_bytes()).hexdigest()
    (directory / "initrd.sha256").write_text(sha256 + "\n")
