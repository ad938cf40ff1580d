"""The example, booted for real through UEFI, its boot loader, UKI and verity, and looked at from inside."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import Done, copy_example, invar, succeed
from invar.core.home import Home

pytestmark = [pytest.mark.build, pytest.mark.boot]


@pytest.fixture(scope="module")
def deploy_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair for the user `deploy`."""
    key = tmp_path_factory.mktemp("key") / "deploy"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


@pytest.fixture(scope="module")
def project(repository: Path, deploy_key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with deploy's key changed to ours: one line of configuration."""
    directory = copy_example(repository, tmp_path_factory.mktemp("boot") / "production-web")
    configuration = directory / "configuration.nix"
    lines = configuration.read_text().splitlines()
    place = next(index for index, line in enumerate(lines) if "ssh-ed25519" in line)
    public = deploy_key.with_suffix(".pub").read_text().strip()
    lines[place] = f'    openssh.authorizedKeys.keys = [ "{public}" ];'
    configuration.write_text("\n".join(lines) + "\n")
    return directory


@pytest.fixture(scope="module")
def machine(project: Path, home: Home) -> Iterator[dict[str, object]]:
    """The machine, its checks passed, as `invar run --detach --json` tells of it."""
    started = succeed("run", project, "--detach", "--name", "boot-test", "--json", home=home).json()
    try:
        checked = invar("check", started["name"], "--json", home=home)
        console = Path(started["console"]).read_text(errors="replace")[-3000:]
        assert checked.code == 0, checked.out + checked.err + console
        yield {**started, **checked.json()}
    finally:
        invar("stop", started["name"], home=home)


def test_all_checks_passed(machine: dict[str, object]) -> None:
    checks = machine["checks"]
    assert isinstance(checks, list)
    assert {check["kind"] for check in checks} >= {"unit", "http", "tcp", "command", "automatic"}
    assert all(check["passed"] for check in checks)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sudo -n true && echo done", "done"),
        ("/usr/sbin/nginx -v 2>&1", "nginx version"),
        ("nginx -v 2>&1", "nginx version"),
        ("psql --version", "psql (PostgreSQL) 17"),
        ("aws --version", "aws-cli/2"),
        ("hostname", "production-web-01"),
        ("id -nG", "wheel"),
        ("systemctl --failed --no-legend | wc -l", "0"),
        ("touch /etc/x 2>&1 || true", "Read-only file system"),
        ("sudo -n touch /usr/bin/x 2>&1 || true", "Read-only file system"),
        ("sudo -n sh -c 'echo hello > /var/written && cat /var/written'", "hello"),
    ],
)
def test_inside_as_deploy(machine: dict[str, object], home: Home, deploy_key: Path, command: str, said: str) -> None:
    done = as_deploy(machine, home, deploy_key, command)
    assert done.code == 0, done.err
    assert said in done.out


def test_the_running_machine_carries_the_digest_of_the_build(
    machine: dict[str, object], home: Home, deploy_key: Path, project: Path
) -> None:
    built = succeed("build", project, "--json", home=home).json()
    done = as_deploy(machine, home, deploy_key, "cat /proc/cmdline")
    assert f"invar.digest={built['system_digest']}" in done.out
    assert machine["digest"] == built["system_digest"]


def test_ps_shows_it(machine: dict[str, object], home: Home) -> None:
    rows = succeed("ps", "--json", home=home).json()
    assert [row["status"] for row in rows if row["name"] == machine["name"]] == ["running"]


def as_deploy(machine: dict[str, object], home: Home, key: Path, command: str) -> Done:
    """Run a shell command on the machine as `deploy`."""
    return invar("ssh", "--user", "deploy", "--identity", key, str(machine["name"]), "sh", "-c", command, home=home)


def test_a_flipped_byte_in_the_packages_partition_is_never_read_as_data(
    project: Path, home: Home, tmp_path: Path
) -> None:
    image = tmp_path / "tampered.raw"
    result = succeed("build", project, "--out", image, "--json", home=home).json()
    info = json.loads((tmp_path / "image-info.json").read_text())
    packages = next(layer for layer in info["layers"] if layer["kind"] == "packages")
    with image.open("r+b") as file:
        for block in range(64, packages["data_blocks"], packages["data_blocks"] // 512):
            file.seek(packages["offset"] + block * 4096 + 7)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 0xFF]))
    started = succeed("run", image, "--detach", "--name", "tampered", "--json", home=home).json()
    try:
        checked = invar("check", started["name"], "--json", home=home)
        console = Path(started["console"]).read_text(errors="replace")
    finally:
        invar("stop", "--force", started["name"], home=home)
    assert result["layers"]["packages"]["root_hash"] == packages["root_hash"]
    assert checked.code != 0
    assert "verity" in console and "corrupt" in console, console[-3000:]
