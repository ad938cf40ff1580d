"""Formats on the command line: what there is, what is refused and how, what an image file is taken for."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from command import copy_example, invar, succeed
from invar.cli.launch import recognise
from invar.core.home import Home
from invar.image.formats import FORMATS


def test_formats_are_listed_with_what_else_they_are_called(home: Home) -> None:
    listed = succeed("formats", "--json", home=home).json()
    assert list(listed) == list(FORMATS)
    assert listed["vhdx"]["aliases"] == ["hyperv"]
    assert [name for name, one in listed.items() if not one["disk"]] == [
        *("iso", "kexec", "vm"),
        *("docker", "lxc", "lxc-metadata"),
    ]
    assert len(succeed("formats", home=home).out.splitlines()) == len(FORMATS)


@pytest.mark.parametrize(("asked", "near"), [("vmdkk", "vmdk"), ("amazon,hyper", "hyperv"), ("", "formats:")])
def test_an_unknown_format_is_refused_before_anything_is_built(
    repository: Path, tmp_path: Path, asked: str, near: str
) -> None:
    project = copy_example(repository, tmp_path / "project")
    (project / "invar.lock").unlink(missing_ok=True)
    own = Home(tmp_path / "home")
    done = invar("build", project, "--format", asked, home=own)
    assert done.code == 2
    assert "there is no format" in done.err and near in done.err
    assert not own.root.exists()
    assert not (project / "invar.lock").exists()


@pytest.mark.build
def test_a_disk_that_is_declared_too_small_is_refused_with_what_would_do(
    repository: Path, home: Home, tmp_path: Path
) -> None:
    project = copy_example(repository, tmp_path / "project")
    configuration = project / "configuration.nix"
    configuration.write_text(
        configuration.read_text().rstrip().removesuffix("}") + "virtualisation.diskSize = 700; }\n"
    )
    done = invar("build", project, "--format", "vmdk", "--out", tmp_path / "web.vmdk", home=home)
    assert done.code == 1
    assert "a disk of 700 MiB is too small" in done.err
    assert "virtualisation.diskSize" in done.err and "it takes 3072 MiB" in done.err
    assert not (tmp_path / "web.vmdk").exists()


@pytest.mark.build
def test_images_go_where_they_are_asked_to(repository: Path, home: Home, tmp_path: Path) -> None:
    project = copy_example(repository, tmp_path / "project")
    out = tmp_path / "images"
    out.touch()
    refused = invar("build", project, "--format", "azure,hyperv", "--out", out, home=home)
    assert refused.code == 1 and "name a directory" in refused.err
    out.unlink()
    done = succeed("build", project, "--format", "azure,vhd", "--format", "hyperv", "--out", out, "--json", home=home)
    images = done.json()["images"]
    assert [one["format"] for one in images] == ["azure", "vhdx"]
    for one in images:
        info = json.loads(Path(one["info"]).read_text())
        assert Path(one["image"]) == out / one["format"] / info["file"]
        assert Path(one["image"]).stat().st_size == one["file_bytes"]


@pytest.mark.parametrize(
    ("head", "place", "expected"),
    [
        (b"QFI\xfb\0\0\0\3", 0, ("qcow2", "nvme")),
        (b"KDMV", 0, ("vmdk", "nvme")),
        (b"vhdxfile", 0, ("vhdx", "nvme")),
        (b"\x01CD001\x01", 32768, ("raw", "ide-cd")),
        (b"conectix", 99_488, ("vpc", "nvme")),
        (struct.pack("<Q", 7), 0, ("raw", "nvme")),
    ],
)
def test_an_image_is_recognised_by_its_content(
    tmp_path: Path, head: bytes, place: int, expected: tuple[str, str]
) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(100_000)
        file.seek(place)
        file.write(head)
    assert recognise(image) == expected


def test_a_file_of_a_few_bytes_is_taken_for_a_raw_disk(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x")
    assert recognise(image) == ("raw", "nvme")
