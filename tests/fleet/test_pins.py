"""What Terraform files and pins name is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.fleet.pins import pinned_in

AMI, SNAPSHOT, DIGEST = "ami-0f6b9468a8a46868b", "snap-0bd39cefc6dbc1879", "ab" * 32


@pytest.mark.parametrize(
    "name",
    [
        "main.tf",
        "a/b/prod.tfvars",
        "images.auto.tfvars.json",
        "x.tf.json",
        "terraform.tfstate",
        "pins.json",
        "web.pins",
    ],
)
def test_references_are_found_with_their_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'image = "{AMI}" # was {SNAPSHOT}\ndigest = "{DIGEST}"\n')
    assert pinned_in(tmp_path) == dict.fromkeys((AMI, SNAPSHOT, DIGEST), str(path))


@pytest.mark.parametrize("name", ["notes.txt", ".terraform/main.tf", ".git/pins.json", "configuration.nix"])
def test_other_files_pin_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(AMI)
    assert pinned_in(tmp_path) == {}


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "main.tf").symlink_to(tmp_path / "gone")
    with pytest.raises(InvarError, match="pins"):
        pinned_in(tmp_path)
