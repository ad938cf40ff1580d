"""/etc/fstab as units: names as systemd escapes them, and what a switch does about mounts that come, change and go."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.machine.fstab import escape_path, fstab_units
from invar.machine.unit_actions import UnitActions, plan_units
from invar.machine.unit_files import read_unit_files

DATA = "/dev/sdf /srv/data ext4 noexec,x-systemd.makefs 0 2\n"
RUNNING = frozenset({"local-fs.target", "srv-data.mount"})


@pytest.mark.parametrize(
    ("line", "name", "wanted_by"),
    [
        ("/dev/sdf /srv/data xfs defaults 0 2", "srv-data.mount", "local-fs.target"),
        ("/dev/sdf /srv/my\\040data-x xfs defaults", r"srv-my\x20data\x2dx.mount", "local-fs.target"),
        ("/dev/sdf /srv/data xfs noauto 0 2", "srv-data.mount", None),
        ("fs-1:/ /srv/share nfs4 ro 0 0", "srv-share.mount", "remote-fs.target"),
        ("/dev/sdf /srv/data xfs _netdev 0 2", "srv-data.mount", "remote-fs.target"),
    ],
)
def test_a_line_is_a_mount_unit(line: str, name: str, wanted_by: str | None) -> None:
    (found,) = fstab_units(line, resolve=str)
    assert (found.name, found.wanted_by) == (name, wanted_by)
    assert "Type=" + line.split()[2] in found.text


def test_an_automount_is_what_is_pulled_in() -> None:
    found = fstab_units("/dev/sdf /srv/data xfs x-systemd.automount 0 2", resolve=str)
    assert [(one.name, one.wanted_by) for one in found] == [
        ("srv-data.mount", None),
        ("srv-data.automount", "local-fs.target"),
    ]


def test_comments_swaps_and_blank_lines_are_no_mounts() -> None:
    assert fstab_units("# a b c d\n\n/dev/sdg none swap sw 0 0\nhalf a line\n") == ()


def test_a_mount_point_behind_a_link_is_where_that_leads(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "srv").symlink_to("var")
    (found,) = fstab_units(f"/dev/sdf {tmp_path}/srv/data xfs defaults 0 2")
    assert found.name == escape_path(f"{tmp_path}/var/data") + ".mount"


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd-escape is not installed here")
@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), max_size=3))
def test_names_are_those_of_systemd_escape(parts: list[str]) -> None:
    path = "/" + "/".join(part for part in parts if part not in (".", ".."))
    told = subprocess.run(["systemd-escape", "--path", "--", path], capture_output=True, check=True).stdout
    assert escape_path(path).encode() == told[:-1]


@pytest.mark.parametrize(
    ("before", "after", "running", "expected"),
    [
        ("", DATA, {"local-fs.target"}, UnitActions(start=("srv-data.mount",))),
        (DATA, DATA, RUNNING, UnitActions()),
        (DATA, "", RUNNING, UnitActions(stop=("srv-data.mount",), stopped_with=("local-fs.target",))),
        (DATA, DATA.replace("noexec", "nosuid"), RUNNING, UnitActions(reload=("srv-data.mount",))),
        (DATA, DATA.replace("sdf", "sdg"), RUNNING, UnitActions(restart=("srv-data.mount",))),
        (DATA, DATA.replace("ext4", "xfs"), RUNNING, UnitActions(restart=("srv-data.mount",))),
        (DATA, DATA, {"local-fs.target"}, UnitActions()),
    ],
    ids=["new", "same", "gone", "options", "device", "type", "unmounted by hand"],
)
def test_a_switch_mounts_what_is_declared(
    before: str, after: str, running: set[str], expected: UnitActions, tmp_path: Path
) -> None:
    for name, text in (("old", before), ("new", after)):
        (tmp_path / name).mkdir()
        if text:
            (tmp_path / name / "fstab").write_text(text)
    old, new = (read_unit_files(tmp_path / name) for name in ("old", "new"))
    assert (
        plan_units(old, new, running, lambda name: name == "local-fs.target", lambda names: ["local-fs.target"])
        == expected
    )
