"""Which kernel modules an initrd gets, and in which order."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.image.kmodules import ModuleTree

DEPENDENCIES = """\
kernel/drivers/md/dm-verity.ko.xz: kernel/drivers/md/dm-bufio.ko.xz kernel/drivers/md/dm-mod.ko.xz
kernel/drivers/md/dm-bufio.ko.xz: kernel/drivers/md/dm-mod.ko.xz
kernel/drivers/md/dm-mod.ko.xz:
kernel/fs/overlayfs/overlay.ko:
kernel/fs/erofs/erofs.ko.gz: kernel/lib/libcrc32c.ko.xz
kernel/lib/libcrc32c.ko.xz:
kernel/odd.ko.zst:
"""


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    (tmp_path / "modules.dep").write_text(DEPENDENCIES)
    (tmp_path / "modules.builtin").write_text("kernel/drivers/nvme/host/nvme.ko\nkernel/fs/ext4/ext4.ko\n")
    for directory in ("kernel/drivers/md", "kernel/fs/overlayfs", "kernel/fs/erofs"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "kernel/drivers/md/dm-mod.ko.xz").write_bytes(lzma.compress(b"mod"))
    (tmp_path / "kernel/fs/overlayfs/overlay.ko").write_bytes(b"overlay")
    (tmp_path / "kernel/fs/erofs/erofs.ko.gz").write_bytes(gzip.compress(b"erofs"))
    (tmp_path / "kernel/odd.ko.zst").write_bytes(b"?")
    return ModuleTree.read(tmp_path)


def test_what_a_module_needs_comes_before_it_and_once(tree: ModuleTree) -> None:
    names = [Path(file).name.partition(".")[0] for file in tree.load_order(["dm_verity", "erofs", "dm-bufio"])]
    assert names == ["dm-mod", "dm-bufio", "dm-verity", "libcrc32c", "erofs"]


def test_what_is_built_in_needs_no_file(tree: ModuleTree) -> None:
    assert tree.load_order(["nvme", "ext4"]) == []


def test_an_optional_module_may_be_missing(tree: ModuleTree) -> None:
    assert tree.load_order(["overlay"], ["sha256_ssse3"]) == ["kernel/fs/overlayfs/overlay.ko"]


def test_an_unknown_module_is_an_error_with_the_nearest_names(tree: ModuleTree) -> None:
    with pytest.raises(InvarError, match="no module overley") as caught:
        tree.load_order(["overley"])
    assert "overlay" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("kernel/drivers/md/dm-mod.ko.xz", b"mod"),
        ("kernel/fs/overlayfs/overlay.ko", b"overlay"),
        ("kernel/fs/erofs/erofs.ko.gz", b"erofs"),
    ],
)
def test_modules_are_uncompressed(tree: ModuleTree, file: str, content: bytes) -> None:
    assert tree.read_module(file) == content


def test_an_unknown_compression_is_an_error(tree: ModuleTree) -> None:
    with pytest.raises(InvarError, match="compressed in a way"):
        tree.read_module("kernel/odd.ko.zst")


def test_a_kernel_without_module_lists_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvarError, match="no list of its modules"):
        ModuleTree.read(tmp_path)
