"""The variable file for Terraform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet.images import image
from invar.core.errors import InvarError
from invar.fleet.publish import Published
from invar.fleet.tfvars import write_tfvars


def published(configuration: str = "web", generation: int = 3) -> Published:
    images = {region: image(region=region, id=f"ami-{region}") for region in ("us-east-1", "eu-west-1")}
    return Published(configuration, generation, "d" * 64, images, {}, None)


def test_it_names_every_region_and_keeps_other_variables(tmp_path: Path) -> None:
    path = tmp_path / "images.auto.tfvars.json"
    path.write_text(json.dumps({"size": 3, "invar_images": {"other": {"amis": {}}}}))
    assert write_tfvars(path, published())
    assert json.loads(path.read_text()) == {
        "size": 3,
        "invar_images": {
            "other": {"amis": {}},
            "web": {
                "amis": {"eu-west-1": "ami-eu-west-1", "us-east-1": "ami-us-east-1"},
                "generation": 3,
                "system_digest": "d" * 64,
            },
        },
    }


def test_writing_the_same_again_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "images.auto.tfvars.json"
    assert write_tfvars(path, published())
    before = path.stat().st_mtime_ns
    assert not write_tfvars(path, published())
    assert path.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["images = {}", "[]", '{"invar_images": []}'])
def test_another_kind_of_file_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "images.auto.tfvars.json"
    path.write_text(text)
    with pytest.raises(InvarError) as caught:
        write_tfvars(path, published())
    assert str(path) in str(caught.value)
    assert path.read_text() == text


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvarError) as caught:
        write_tfvars(tmp_path / "none" / "x.json", published())
    assert "none" in str(caught.value)
