"""What is no disk: ISO, kexec bundle, runner, containers. Each is opened by readers that are not ours."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pycdlib
import pytest

from image.sample import EPOCH, MODULES, build, system
from invar.core.events import Report
from invar.image.assemble import Image
from invar.image.erofs import Directory, File, Symlink, Whiteout, build_erofs
from invar.image.erofs_tree import read_erofs
from invar.image.formats import export
from invar.image.formats.oci import with_whiteouts
from invar.image.iso9660 import EXTENT_LIMIT, SECTOR, plan_iso
from invar.image.layer import PackagesLayer
from invar.image.rootfs import merged
from invar.image.tools import Tools
from invar.image.verity import verify
from invar.sandbox.spec import Bind
from invar.store.objects import Store

pytestmark = pytest.mark.build


def made(image: Image, name: str, tools: Tools, store: Store) -> Path:
    return export(image, name, None, tools, store, Report()).file


# ISO


@pytest.fixture(scope="module")
def iso(image: Image, tools: Tools, store: Store) -> Path:
    return made(image, "iso", tools, store)


def test_pycdlib_finds_the_layers_on_the_iso_and_they_prove_themselves(image: Image, iso: Path, tmp_path: Path) -> None:
    disc = pycdlib.PyCdlib()
    disc.open(str(iso))
    try:
        for layer in (image.packages, image.config):
            cut = tmp_path / layer.kind
            disc.get_file_from_iso(str(cut), iso_path=f"/{layer.kind.upper()}.IMG;1")
            verify(cut, layer.root_hash, layer.salt, layer.data_blocks)
        assert disc.pvd.volume_identifier.rstrip() == b"INVAR_" + image.system_digest[:12].upper().encode()
        catalogue = disc.eltorito_boot_catalog
        assert (catalogue.validation_entry.platform_id, catalogue.initial_entry.boot_indicator) == (0xEF, 0x88)
        boot = disc.get_record(iso_path="/EFI.IMG;1")
        assert catalogue.initial_entry.load_rba == boot.extent_location()
    finally:
        disc.close()


@pytest.mark.skipif(shutil.which("isoinfo") is None, reason="isoinfo (genisoimage) is not installed")
def test_isoinfo_lists_the_files(iso: Path) -> None:
    shown = subprocess.run(["isoinfo", "-l", "-i", str(iso)], check=True, capture_output=True, text=True).stdout
    for name in ("CONFIG.IMG;1", "PACKAGES.IMG;1", "EFI.IMG;1"):
        assert name in shown
    detail = subprocess.run(["isoinfo", "-d", "-i", str(iso)], check=True, capture_output=True, text=True).stdout
    assert "El Torito VD version 1 found" in detail
    assert f"Volume size is: {iso.stat().st_size // SECTOR}" in detail


@pytest.mark.skipif(shutil.which("mcopy") is None, reason="mtools is not installed")
def test_the_iso_boots_the_very_uki_of_the_disks(image: Image, iso: Path, tmp_path: Path) -> None:
    disc = pycdlib.PyCdlib()
    disc.open(str(iso))
    offset = disc.get_record(iso_path="/EFI.IMG;1").extent_location() * SECTOR
    disc.close()
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}
    on_iso, on_disk = f"{iso}@@{offset}", f"{image.raw}@@{image.layout.esp.offset}"
    for source, name in ((on_iso, "::EFI/BOOT/BOOTX64.EFI"), (on_disk, "::EFI/Linux/invar-000001.efi")):
        subprocess.run(["mcopy", "-n", "-i", source, name, str(tmp_path)], check=True, env=environment)
    assert (tmp_path / "BOOTX64.EFI").read_bytes() == (tmp_path / "invar-000001.efi").read_bytes()
    listed = subprocess.run(["mdir", "-b", "-/", "-i", on_iso], check=True, env=environment, capture_output=True)
    assert b"BOOTX64.EFI.extra.d/invar-medium.cred" in listed.stdout


def test_a_stick_with_the_iso_has_an_efi_system_partition(iso: Path) -> None:
    with iso.open("rb") as file:
        head = file.read(512)
        assert head[510:] == b"\x55\xaa"
        kind, start = head[446 + 4], int.from_bytes(head[446 + 8 : 446 + 12], "little")
        assert kind == 0xEF
        file.seek(start * 512)
        assert file.read(512)[82:90] == b"FAT32   "


def test_a_file_beyond_four_gib_has_several_extents(tmp_path: Path) -> None:
    size = EXTENT_LIMIT + 5 * SECTOR
    plan = plan_iso({"BIG.IMG": size, "EFI.IMG": 4096}, boot="EFI.IMG", volume="V", epoch=EPOCH, signature=1)
    assert plan.offsets["EFI.IMG"] == plan.offsets["BIG.IMG"] + size
    iso = tmp_path / "big.iso"
    with iso.open("wb") as file:
        file.write(plan.head)
        file.truncate(plan.size)
    disc = pycdlib.PyCdlib()
    disc.open(str(iso))
    first = disc.get_record(iso_path="/BIG.IMG;1")
    second = first.data_continuation
    assert second is not None
    assert first.extent_location() * SECTOR == plan.offsets["BIG.IMG"]
    assert second.extent_location() * SECTOR == plan.offsets["BIG.IMG"] + EXTENT_LIMIT
    assert first.get_data_length() + second.get_data_length() == size
    disc.close()


@pytest.mark.parametrize("name", ["lower.img", "NOENDING", "BOOT.CAT", "A/B.C"])
def test_a_name_that_an_iso_has_not_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        plan_iso({name: 1}, boot=name, volume="V", epoch=0, signature=0)


# kexec


def test_the_kexec_bundle_holds_kernel_initrd_and_layers(
    image: Image, packages: PackagesLayer, tools: Tools, store: Store, tmp_path: Path
) -> None:
    subprocess.run(["tar", "-xf", str(made(image, "kexec-bundle", tools, store)), "-C", str(tmp_path)], check=True)
    assert (tmp_path / "kernel").read_bytes() == packages.kernel.read_bytes()
    assert (tmp_path / "cmdline").read_text() == image.cmdline + "\n"
    initrd = (tmp_path / "initrd").read_bytes()
    own = image.initrd.stat().st_size
    assert hashlib.sha256(initrd[:own]).hexdigest() == image.initrd_sha256
    second = -(-own // 4) * 4
    assert initrd[own:second] == bytes(second - own)
    (tmp_path / "layers.cpio").write_bytes(initrd[second:])
    bind = Bind(tmp_path, "/work.d", read_only=False)
    tools.run(["busybox", "cpio", "-i", "-d", "-F", "layers.cpio"], binds=[bind], cwd="/work.d")
    for layer in (image.packages, image.config):
        verify(tmp_path / f"layers/{layer.kind}.img", layer.root_hash, layer.salt, layer.data_blocks)


def test_kexec_boot_calls_kexec_with_the_command_line_as_one_word(
    image: Image, tools: Tools, store: Store, tmp_path: Path
) -> None:
    subprocess.run(["tar", "-xf", str(made(image, "kexec", tools, store)), "-C", str(tmp_path)], check=True)
    record = tmp_path / "bin" / "kexec"
    record.parent.mkdir()
    record.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/called\n')
    record.chmod(0o755)
    environment = {"PATH": f"{record.parent}:{os.environ['PATH']}"}
    script = str(tmp_path / "kexec-boot")
    subprocess.run([script, "--load"], check=True, env=environment)
    assert (tmp_path / "called").read_text().splitlines() == [
        "--load",
        f"{tmp_path}/kernel",
        f"--initrd={tmp_path}/initrd",
        f"--command-line={image.cmdline}",
    ]
    assert subprocess.run([script, "--nonsense"], env=environment, capture_output=True).returncode == 2
    record.unlink()
    absent = subprocess.run([script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    if shutil.which("kexec", path="/usr/bin:/bin") is None:
        assert absent.returncode == 1
        assert "install kexec-tools" in absent.stderr


# The initrd, for what is no disk


def test_late_modules_are_in_the_initrd_but_not_loaded_at_once(image: Image, tools: Tools, tmp_path: Path) -> None:
    shutil.copyfile(image.initrd, tmp_path / "initrd")
    bind = Bind(tmp_path, "/work.d", read_only=False)
    tools.run(["lz4", "-d", "-q", "-f", "/work.d/initrd", "/work.d/cpio"], binds=[bind], check=False)
    tools.run(["busybox", "cpio", "-i", "-d", "-F", "cpio"], binds=[bind], cwd="/work.d", check=False)
    at_once = (tmp_path / "etc/modules").read_text().split()
    late = (tmp_path / "etc/modules-late").read_text().split()
    assert late == ["isofs.ko"]
    assert not set(at_once) & set(late)
    assert {path.name for path in (tmp_path / "lib/modules").iterdir()} == {*at_once, *late}
    assert len(at_once) == len(MODULES) - len(late)


# The runner


def test_the_runner_carries_the_disk_where_qemu_opens_it(
    image: Image, tools: Tools, store: Store, tmp_path: Path
) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img (qemu-utils) is not installed")
    runner = tmp_path / "run me, please"
    shutil.copy2(made(image, "vm", tools, store), runner)
    calls = tmp_path / "bin"
    calls.mkdir()
    qemu = calls / "qemu-system-x86_64"
    qemu.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"{tmp_path}/called"\n')
    qemu.chmod(0o755)
    disk = tmp_path / "state.qcow2"
    environment = {"PATH": f"{calls}:{os.environ['PATH']}", "NIX_DISK_IMAGE": str(disk), "INVAR_NO_KVM": "1"}
    for _ in range(2):
        done = subprocess.run(
            [str(runner), "--port", "2222:22", "--memory", "512"], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        compare = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", str(image.raw), str(disk)]
        assert subprocess.run(compare, capture_output=True).returncode == 0
    called = (tmp_path / "called").read_text().splitlines()
    assert called[called.index("-m") + 1] == "512M"
    assert any("hostfwd=tcp:127.0.0.1:2222-:22" in word for word in called)
    code = json.loads(next(word for word in called if '"node-name":"code"' in word))
    firmware = tools.path("usr/share/OVMF/OVMF_CODE_4M.fd").read_bytes()
    with runner.open("rb") as file:
        file.seek(code["offset"])
        assert file.read(code["size"]) == firmware


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--help"], 0, "usage:"),
        (["--nonsense"], 2, "usage:"),
        (["--memory", "much"], 1, "takes a number"),
        (["--port", "22:x"], 1, "takes a number"),
        ([], 1, "install QEMU"),
    ],
)
def test_the_runner_tells_what_is_wrong(
    image: Image, tools: Tools, store: Store, words: list[str], status: int, said: str
) -> None:
    runner = made(image, "vm", tools, store)
    done = subprocess.run(["/bin/sh", str(runner), *words], env={"PATH": "/bin"}, capture_output=True, text=True)
    if not words and shutil.which("qemu-system-x86_64", path="/bin"):
        pytest.skip("this machine's /bin has QEMU")
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr


# Containers


def test_an_oci_reader_finds_two_layers_that_hash_to_their_names(image: Image, tools: Tools, store: Store) -> None:
    with tarfile.open(made(image, "oci", tools, store)) as archive:

        def read(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file is not None
            return file.read()

        def blob(descriptor: dict[str, Any]) -> bytes:
            algorithm, _, digest = descriptor["digest"].partition(":")
            data = read(f"blobs/{algorithm}/{digest}")
            assert hashlib.sha256(data).hexdigest() == digest
            assert len(data) == descriptor["size"]
            return data

        assert json.loads(read("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        (entry,) = json.loads(read("index.json"))["manifests"]
        manifest = json.loads(blob(entry))
        config = json.loads(blob(manifest["config"]))
        tars = [gzip.decompress(blob(layer)) for layer in manifest["layers"]]
        assert [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars] == config["rootfs"]["diff_ids"]
        assert len(config["history"]) == len(tars) == 2
        (docker,) = json.loads(read("manifest.json"))
        assert [f"blobs/{one['digest'].replace(':', '/')}" for one in manifest["layers"]] == docker["Layers"]
        assert json.loads(read(docker["Config"])) == config
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    assert config["config"]["Cmd"] == ["/sbin/init"]
    assert config["config"]["StopSignal"] == "SIGRTMIN+3"
    assert config["config"]["Labels"]["invar.system-digest"] == image.system_digest
    names = [_names(tar) for tar in tars]
    assert "usr/f" in names[0] and "etc/motd" in names[1]


def _names(tar: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {one.name.removeprefix("./") for one in archive}


def test_only_the_config_blob_changes_with_the_configuration(
    image: Image, packages: PackagesLayer, tools: Tools, store: Store
) -> None:
    def layers(of: Image) -> list[str]:
        with tarfile.open(made(of, "docker", tools, store)) as archive:
            file = archive.extractfile("manifest.json")
            assert file is not None
            found: list[str] = json.load(file)[0]["Layers"]
            return found

    first, second = layers(image), layers(build(system("another motd\n"), packages, tools, store))
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_whiteouts_have_their_oci_names(tmp_path: Path) -> None:
    root = Directory({"etc": Directory({"gone": Whiteout(), "kept": File(b"x")}), "top": Whiteout()})
    (tmp_path / "image").write_bytes(build_erofs(root, uuid=bytes(16), build_time=0))
    tree = with_whiteouts(read_erofs(tmp_path / "image"))
    assert set(tree) == {"", "etc", "etc/.wh.gone", "etc/kept", ".wh.top"}


def test_layers_merge_as_an_overlay_shows_them(tmp_path: Path) -> None:
    def contents(name: str, root: Directory) -> Any:
        (tmp_path / name).write_bytes(build_erofs(root, uuid=bytes(16), build_time=0))
        return read_erofs(tmp_path / name)

    lower = Directory(
        {
            "a": Directory({"below": File(b"1")}, 0o700),
            "b": Directory({"below": File(b"2")}),
            "c": Directory({"below": File(b"3")}),
            "cc": File(b"4"),
        }
    )
    upper = Directory({"a": Directory({"new": File(b"5")}, 0o755), "b": Whiteout(), "c": Symlink("cc")})
    tree = merged(contents("lower", lower), contents("upper", upper))
    assert set(tree) == {"", "a", "a/below", "a/new", "c", "cc"}
    assert tree["a"].mode == 0o755
    assert tree["c"].kind == "symlink"


def test_gnu_tar_lists_the_rootfs_with_owners_modes_and_var(image: Image, tools: Tools, store: Store) -> None:
    if shutil.which("tar") is None:
        pytest.skip("GNU tar is not installed")
    rootfs = made(image, "lxc", tools, store)
    listed = subprocess.run(
        ["tar", "--numeric-owner", "-tvzf", str(rootfs)], check=True, capture_output=True, text=True
    ).stdout
    entries = {line.split()[5]: line.split()[:3] for line in listed.splitlines()}
    assert entries["./usr/bin/sudo"][:2] == ["-rwsr-xr-x", "0/0"]
    assert entries["./etc/shadow"][:2] == ["-rw-r-----", "0/0"]
    assert entries["./var/lib/thing/"][:2] == ["drwxr-x---", "101/102"]
    assert entries["./var/lib/thing/data"] == ["-rw-r-----", "101/102", "4"]
    assert entries["./var/tmp/"][0] == "drwxrwxrwt"
    assert entries["./var/lib/"][0] == "drwxr-xr-x"
    assert "./etc/motd" in entries and "./usr/f" in entries and "./etc/hostname" in entries
    assert "./boot/" in entries and "./boot/vmlinuz" not in entries
    assert not any(path.startswith("./usr/lib/modules/6.12") for path in entries)


def test_lxc_metadata_say_what_the_rootfs_is(image: Image, tools: Tools, store: Store) -> None:
    with tarfile.open(made(image, "lxc-metadata", tools, store)) as archive:
        file = archive.extractfile("metadata.yaml")
        assert file is not None
        metadata = json.load(file)
    assert metadata["architecture"] == "x86_64"
    assert metadata["creation_date"] == EPOCH
    assert metadata["properties"]["invar.system-digest"] == image.system_digest


def test_nothing_but_the_file_and_its_information_stays(image: Image, tools: Tools, store: Store) -> None:
    for name in ("docker", "lxc", "vm"):
        file = made(image, name, tools, store)
        assert sorted(path.name for path in file.parent.iterdir()) == sorted([file.name, "image-info.json"])
