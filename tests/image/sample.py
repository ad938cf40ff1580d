"""A system small enough for every test: a packages layer of a few files, and no real kernel."""

from __future__ import annotations

from invar.core.events import Report
from invar.image.assemble import Image, assemble
from invar.image.config_layer import build_config_layer
from invar.image.erofs import Directory, File, Symlink
from invar.image.layer import PackagesLayer
from invar.image.tools import Tools
from invar.store.objects import Store
from invar.system.record import Disk, EtcEntry, System

EPOCH = 1_750_000_000
MODULES = ("virtio_blk", "virtio_pci", "nvme", "ext4", "dm-verity", "erofs", "overlay", "ena", "loop", "isofs")
VAR = b"""\
# Made by Invar.
d /var/lib/thing 0750 101 102 -
L /var/lib/link - - - - /usr/share/link
C /var/lib/thing/data 0640 101 102 - /usr/share/factory/invar/var/lib/thing/data
"""
ROOT = Directory(
    {
        "boot": Directory({"vmlinuz": File(b"kernel")}),
        "etc": Directory({"hostname": File(b"from-packages\n"), "shadow": File(b"", 0o640, 0, 42)}),
        "sbin": Symlink("usr/sbin"),
        "usr": Directory(
            {
                "f": File(b"x" * 99_999),
                "bin": Directory({"sudo": File(b"#!", 0o4755)}),
                "lib": Directory(
                    {
                        "modules": Directory({"6.12": Directory({"nvme.ko": File(b"nvme")})}),
                        "tmpfiles.d": Directory({"invar-var.conf": File(VAR)}),
                    }
                ),
                "share": Directory(
                    {
                        "factory": Directory(
                            {
                                "invar": Directory(
                                    {
                                        "var": Directory(
                                            {"lib": Directory({"thing": Directory({"data": File(b"data")})})}
                                        )
                                    }
                                )
                            }
                        )
                    }
                ),
            }
        ),
        "var": Directory(),
    },
)
"""What the packages layer holds."""


def system(motd: str = "hello\n", disk: Disk | None = None, modules: tuple[str, ...] = ("ena",)) -> System:
    return System(
        name="web",
        host_name="web",
        architecture="amd64",
        packages=(),
        kernel_package="linux-image-cloud-amd64",
        kernel_params=("console=ttyS0",),
        initrd_modules=modules,
        etc=(EtcEntry("motd", motd, None, "symlink", "root", "root"),),
        store_objects=(),
        users=(),
        groups=(),
        checks=(),
        disk=disk or Disk(None, "web"),
        state_version="25.05",
    )


def build(of: System, packages: PackagesLayer, tools: Tools, store: Store) -> Image:
    config = build_config_layer(of, packages, EPOCH, store, Report())
    return assemble(of, packages, config, EPOCH, tools, store, Report())
