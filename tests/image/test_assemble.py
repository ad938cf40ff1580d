"""A disk out of layers: what lies on it, the same every time, and what a changed configuration leaves alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from image.sample import build, system
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.image.assemble import Image
from invar.image.formats import FORMATS, export, find_format
from invar.image.formats.place import copy_artifact, copy_artifacts
from invar.image.layer import BLOCK, PackagesLayer
from invar.image.tools import Tools
from invar.image.uki import read_sections
from invar.image.verity import verify
from invar.store.objects import Store
from invar.system.record import Disk

pytestmark = pytest.mark.build

QEMU_NAMES = {"azure": "vpc", "qcow2": "qcow2", "vhdx": "vhdx", "vmdk": "vmdk"}


def part(image: Image, offset: int, size: int, to: Path) -> Path:
    with image.raw.open("rb") as disk, to.open("wb") as file:
        disk.seek(offset)
        file.write(disk.read(size))
    return to


def test_both_layers_lie_in_their_partitions_and_prove_themselves(image: Image, tmp_path: Path) -> None:
    for layer, slot in ((image.packages, image.layout.packages), (image.config, image.layout.config)):
        cut = part(image, slot.offset, layer.total_blocks * BLOCK, tmp_path / layer.kind)
        verify(cut, layer.root_hash, layer.salt, layer.data_blocks)


def test_the_disk_is_sparse(image: Image) -> None:
    assert image.raw.stat().st_size == image.logical_bytes == 2 << 30
    assert image.allocated_bytes < 64 << 20


def test_sfdisk_finds_the_four_partitions(image: Image) -> None:
    if shutil.which("sfdisk") is None:
        pytest.skip("sfdisk (fdisk) is not installed")
    shown = subprocess.run(["sfdisk", "--json", str(image.raw)], check=True, capture_output=True).stdout
    partitions = json.loads(shown)["partitiontable"]["partitions"]
    assert [one["name"] for one in partitions] == ["ESP", "invar-packages", "invar-config", "invar-var"]
    assert all(one["start"] % 1024 == 0 for one in partitions)


def test_the_uki_on_the_esp_carries_kernel_initrd_and_digest(
    image: Image, packages: PackagesLayer, tmp_path: Path
) -> None:
    if shutil.which("mcopy") is None:
        pytest.skip("mtools is not installed")
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}
    source = f"{image.raw}@@{image.layout.esp.offset}"
    uki_file = tmp_path / "uki.efi"
    argv = ["mcopy", "-i", source, "::EFI/Linux/invar-000001.efi", str(uki_file)]
    subprocess.run(argv, check=True, env=environment)
    uki = uki_file.read_bytes()
    found = {one.name: uki[one.offset : one.offset + min(one.memory_size, one.file_size)] for one in read_sections(uki)}
    assert found[".cmdline"].decode() == image.cmdline
    assert image.cmdline.startswith(f"invar.digest={image.system_digest} invar.packages={image.packages.root_hash}:")
    assert found[".linux"] == packages.kernel.read_bytes()
    assert hashlib.sha256(found[".initrd"]).hexdigest() == image.initrd_sha256
    assert found[".initrd"][:4] == bytes.fromhex("02214c18"), "the legacy frame, which the kernel takes"


def test_var_is_a_clean_ext4_that_keeps_its_holes(image: Image, tmp_path: Path) -> None:
    if shutil.which("e2fsck") is None:
        pytest.skip("e2fsck (e2fsprogs) is not installed")
    slot = image.layout.var
    cut = part(image, slot.offset, slot.size, tmp_path / "var")
    run = subprocess.run(["e2fsck", "-fn", str(cut)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_another_store_gives_the_same_bytes(
    image: Image, packages: PackagesLayer, tools: Tools, tmp_path: Path
) -> None:
    again = build(system(), packages, tools, Store(tmp_path / "other"))
    assert again.system_digest == image.system_digest
    assert subprocess.run(["cmp", str(image.raw), str(again.raw)], capture_output=True).returncode == 0


def test_a_changed_configuration_changes_the_digest_and_leaves_the_packages_where_they_are(
    image: Image, packages: PackagesLayer, tools: Tools, store: Store, tmp_path: Path
) -> None:
    other = build(system("changed\n"), packages, tools, store)
    assert other.system_digest != image.system_digest
    assert other.layout == image.layout
    assert other.initrd_sha256 == image.initrd_sha256
    slot = image.layout.packages
    before = part(image, slot.offset, 1 << 20, tmp_path / "before").read_bytes()
    assert part(other, slot.offset, 1 << 20, tmp_path / "after").read_bytes() == before


def test_the_disk_may_be_declared_larger_without_another_digest(
    image: Image, packages: PackagesLayer, tools: Tools, store: Store
) -> None:
    larger = build(system(disk=Disk(10 * 1024, "big")), packages, tools, store)
    assert larger.logical_bytes == 10 << 30
    assert larger.system_digest == image.system_digest
    assert larger.raw != image.raw


def test_a_module_that_the_kernel_lacks_is_named(packages: PackagesLayer, tools: Tools, store: Store) -> None:
    with pytest.raises(InvarError, match="no module enaa") as caught:
        build(system(modules=("enaa",)), packages, tools, store)
    assert "ena" in (caught.value.hint or "")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_format_is_exported_with_its_information(
    image: Image, name: str, tools: Tools, store: Store, tmp_path: Path
) -> None:
    artifact = export(image, name, "f" * 64, tools, store, Report())
    info = json.loads((artifact.directory / "image-info.json").read_text())
    assert info["system"] == "x86_64-linux"
    disk = FORMATS[name].is_disk
    assert info.get("boot_mode") == ("uefi" if disk else None)
    assert info.get("logical_bytes") == (str(2 << 30) if disk else None)
    assert info["system_digest"] == image.system_digest
    assert info["lock_digest"] == "f" * 64
    assert artifact.directory / info["file"] == artifact.file
    again = Report()
    assert export(image, name, "f" * 64, tools, store, again) == artifact
    assert again.cached[f"format {name}"]

    placed = copy_artifact(artifact, tmp_path / "my image")
    assert json.loads((tmp_path / "image-info.json").read_text())["file"] == "my image"
    assert subprocess.run(["cmp", str(placed), str(artifact.file)]).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image-info.json", "my image"]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_another_store_exports_the_same_bytes(
    image: Image, name: str, tools: Tools, store: Store, tmp_path: Path
) -> None:
    first, second = (export(image, name, None, tools, one, Report()) for one in (store, Store(tmp_path / "other")))
    assert first.file != second.file
    assert subprocess.run(["cmp", str(first.file), str(second.file)], capture_output=True).returncode == 0


@pytest.mark.parametrize("name", sorted(name for name in QEMU_NAMES))
def test_qemu_finds_the_disk_in_its_format(image: Image, name: str, tools: Tools, store: Store) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img (qemu-utils) is not installed")
    file = export(image, name, None, tools, store, Report()).file
    argv = ["qemu-img", "compare", "-f", "raw", "-F", QEMU_NAMES[name], str(image.raw), str(file)]
    run = subprocess.run(argv, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_gnu_tar_finds_the_disk_for_google(image: Image, tools: Tools, store: Store, tmp_path: Path) -> None:
    if shutil.which("tar") is None:
        pytest.skip("GNU tar is not installed")
    file = export(image, "google-compute", None, tools, store, Report()).file
    subprocess.run(["tar", "-xzSf", str(file), "-C", str(tmp_path)], check=True)
    assert subprocess.run(["cmp", str(tmp_path / "disk.raw"), str(image.raw)], capture_output=True).returncode == 0


def test_several_formats_are_placed_in_a_directory_each(
    image: Image, tools: Tools, store: Store, tmp_path: Path
) -> None:
    artifacts = [export(image, name, None, tools, store, Report()) for name in ("amazon", "raw-efi")]
    out = tmp_path / "new" / "images"
    places = copy_artifacts(artifacts, out)
    assert places == [out / name / "web.raw" for name in ("amazon", "raw-efi")]
    assert all((place.parent / "image-info.json").is_file() for place in places)
    (tmp_path / "file").touch()
    with pytest.raises(InvarError, match="cannot write 2 images"):
        copy_artifacts(artifacts, tmp_path / "file")


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("vhdxx", "vhdx"), ("raw", "raw-efi"), ("vmwar", "vmware"), ("qcow", "qcow-efi"), ("zzz", "amazon")],
)
def test_an_unknown_format_is_told_with_the_nearest_names(wrong: str, near: str) -> None:
    with pytest.raises(InvarError, match=f"no format '{wrong}'") as caught:
        find_format(wrong)
    assert caught.value.exit_code == ExitCode.USAGE
    assert near in (caught.value.hint or "")


def test_every_name_stands_for_one_format() -> None:
    names = [name for format_ in FORMATS.values() for name in (format_.name, *format_.aliases)]
    assert len(names) == len(set(names))
    assert {find_format(name).name for name in names} == set(FORMATS)


def test_places_that_cannot_be_written_are_told(image: Image, tools: Tools, store: Store, tmp_path: Path) -> None:
    artifact = export(image, "amazon", None, tools, store, Report())
    (tmp_path / "web.raw").mkdir()
    for place, why in (
        (tmp_path / "absent" / "image", "no directory"),
        (tmp_path, "is a directory"),
        (Path("/proc/image"), "cannot write /proc/image"),
    ):
        with pytest.raises(InvarError, match="cannot write") as caught:
            copy_artifact(artifact, place)
        assert why in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["web.raw"]


def test_a_full_disk_is_told_and_nothing_stays_on_it(image: Image, tools: Tools, store: Store, tmp_path: Path) -> None:
    if subprocess.run(["unshare", "--mount", "--map-root-user", "true"], capture_output=True).returncode != 0:
        pytest.skip("a small file system takes a mount namespace, which this machine does not give")
    artifact = export(image, "azure", None, tools, store, Report())
    program = (
        "import sys; from pathlib import Path; from invar.core.errors import InvarError\n"
        "from invar.image.formats import Artifact; from invar.image.formats.place import copy_artifact\n"
        "full, file = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "try: copy_artifact(Artifact('azure', file.parent, file, {}), full)\n"
        "except InvarError as error: print(error, list(full.iterdir()))\n"
    )
    run = 'mount -t tmpfs -o size=256k none "$1" && exec "$2" -c "$3" "$1" "$4"'
    argv = ["sh", "-c", run, "sh", str(tmp_path), sys.executable, program, str(artifact.file)]
    done = subprocess.run(["unshare", "--mount", "--map-root-user", *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no space left" in done.stdout
    assert str(tmp_path) in done.stdout
    assert done.stdout.rstrip().endswith("[]")
