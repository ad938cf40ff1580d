"""The order in which maintainer scripts run, and what dpkg is told before they do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.debian.deb import UnpackedDeb
from invar.debian.lock import LockedPackage
from invar.image.compose import SHIMS, compose
from invar.image.configure import configuration_steps, preinst_script, script_environment, upstream
from invar.image.finish import finishing_script


def locked(name: str, *depends: str, essential: bool = False) -> LockedPackage:
    """A locked package."""
    return LockedPackage(name, "1", "all", f"pool/{name}", name, 1, "trixie", essential, (), depends)


def unpacked(root: Path, name: str, control: dict[str, str], **fields: str) -> UnpackedDeb:
    """An unpacked package with control files and one file."""
    deb_root = root / name
    (deb_root / "control").mkdir(parents=True)
    (deb_root / f"data/usr/share/{name}").mkdir(parents=True)
    every = {"Package": name, "Version": "1", "Architecture": "amd64", **fields}
    for file, text in control.items():
        (deb_root / "control" / file).write_text(text)
        (deb_root / "control" / file).chmod(0o755)
    paths = ("/.", "/usr", "/usr/share", f"/usr/share/{name}")
    return UnpackedDeb(deb_root, name, every, paths, {}, {}, {})


def test_accounts_and_directories_come_first_then_the_essential_closure_then_all() -> None:
    packages = [
        locked("libc6"),
        locked("bash", "libc6", essential=True),
        locked("base-files", "mawk", essential=True),
        locked("base-passwd", essential=True),
        locked("mawk", "libc6"),
        locked("nginx", "libc6"),
    ]
    assert configuration_steps(packages) == [("base-passwd",), ("base-files",), ("libc6", "bash", "mawk"), ()]


def test_a_cycle_of_dependencies_ends() -> None:
    packages = [locked("a", "b", essential=True), locked("b", "a")]
    assert configuration_steps(packages) == [("a", "b"), ()]


def test_preinst_scripts_run_as_dpkg_runs_them_until_one_fails(tmp_path: Path) -> None:
    said = '#!/bin/sh\necho "$DPKG_MAINTSCRIPT_PACKAGE $DPKG_MAINTSCRIPT_ARCH $DPKG_MAINTSCRIPT_NAME $1"\n'
    names = ["zlib", "base-files", "base-passwd", "broken", "never"]
    debs = {name: unpacked(tmp_path, name, {"preinst": said}) for name in names if name != "broken"}
    debs["broken"] = unpacked(tmp_path, "broken", {"preinst": "#!/bin/sh\necho oops\nexit 3\n"})
    script = preinst_script([locked(name) for name in names], debs)
    for name, deb in debs.items():
        script = script.replace(f"/var/lib/dpkg/info/{name}.preinst", str(deb.control / "preinst"))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "base-passwd amd64 preinst install",
        "base-files amd64 preinst install",
        "zlib amd64 preinst install",
        "oops",
        "error processing package broken (preinst)",
    ]


def test_the_composition_has_the_database_below_the_shims(tmp_path: Path) -> None:
    debs = {
        "a": unpacked(tmp_path, "a", {"control": "", "postinst": "#!/bin/sh\n", "triggers": "interest /usr/share/x\n"}),
        "b": unpacked(tmp_path, "b", {"control": ""}, **{"Multi-Arch": "same"}),
    }
    composition = compose(debs, tmp_path / "composed")
    database = composition.lowers[0] / "var/lib/dpkg"
    assert composition.lowers[1:] == (debs["a"].data, debs["b"].data)
    assert (database / "status").read_text().count("Status: install ok unpacked") == 2
    assert (database / "info/a.postinst").stat().st_mode & 0o777 == 0o755
    assert (database / "info/b:amd64.list").read_text() == "/.\n/usr\n/usr/share\n/usr/share/b\n"
    assert (database / "triggers/File").read_text() == "/usr/share/x a\n"
    for path in SHIMS:
        assert (composition.shims / path).stat().st_mode & 0o777 == 0o755


def test_services_are_forbidden_to_start() -> None:
    assert "exit 101" in SHIMS["usr/sbin/policy-rc.d"]


def test_packages_outside_of_the_merged_usr_are_an_error(tmp_path: Path) -> None:
    debs = {"old": unpacked(tmp_path, "old", {})}
    (debs["old"].data / "lib/old").mkdir(parents=True)
    with pytest.raises(InvarError, match="merged /usr") as caught:
        compose(debs, tmp_path / "composed")
    assert caught.value.why == "old: /lib"


def test_the_environment_has_the_locks_date() -> None:
    environment = script_environment(1234)
    assert environment["SOURCE_DATE_EPOCH"] == "1234"
    assert "TZ" not in environment


@pytest.mark.parametrize(("version", "expected"), [("1:1.22.6-3", "1.22.6"), ("1.22.22", "1.22.22"), ("2-1", "2")])
def test_upstream_versions(version: str, expected: str) -> None:
    assert upstream(version) == expected


def test_certificates_are_made_where_their_package_is(tmp_path: Path) -> None:
    deb = unpacked(tmp_path, "ca-certificates", {})
    assert "update-ca-certificates" in finishing_script({"ca-certificates": deb})
    assert finishing_script({"other": deb}) == ""
