"""Formats, booted: the live ISO from a CD, the kexec bundle from memory; with INVAR_TEST_LONG=1 all that QEMU boots."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from command import copy_example, invar, succeed
from invar.core.events import Report
from invar.core.home import Home
from invar.debian.lock import read_lock
from invar.debian.mirrors import find_mirrors
from invar.image.formats.vm import EMULATED_CPU
from invar.image.tools import Tools, realise_tools
from invar.store.objects import Store
from invar.vm.install import SshInstall

pytestmark = [pytest.mark.build, pytest.mark.boot]

BOOT_SECONDS = 300
LONG = os.environ.get("INVAR_TEST_LONG") == "1"
long_only = pytest.mark.skipif(not LONG, reason="a minute each: set INVAR_TEST_LONG=1")
FORMATS = ("iso", "kexec", *(("raw-efi", "qcow2", "vmdk", "azure", "vhdx", "vm") if LONG else ()))
LOOK = "cat /proc/cmdline; findmnt -no FSTYPE /var; ls /sys/block; systemctl --failed --no-legend | wc -l"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair for the user `deploy`, who can log in where no metadata service gives root a key."""
    place = tmp_path_factory.mktemp("key") / "deploy"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place)], check=True)
    return place


@pytest.fixture(scope="module")
def built(repository: Path, home: Home, key: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The example in all formats, with the key: what `invar build --json` prints, and the images by format."""
    directory = copy_example(repository, tmp_path_factory.mktemp("formats") / "production-web")
    configuration = directory / "configuration.nix"
    lines = configuration.read_text().splitlines()
    place = next(index for index, line in enumerate(lines) if "ssh-ed25519" in line)
    lines[place] = f'    openssh.authorizedKeys.keys = [ "{key.with_suffix(".pub").read_text().strip()}" ];'
    configuration.write_text("\n".join(lines) + "\n")
    result = succeed("build", directory, "--format", ",".join(FORMATS), "--json", home=home).json()
    assert isinstance(result, dict)
    return {
        **result,
        "files": {one["format"]: Path(one["image"]) for one in result["images"]},
        "lock": directory / "invar.lock",
    }


@pytest.fixture(scope="module")
def tools(built: dict[str, Any], home: Home) -> Tools:
    """The tools that built it: QEMU among them."""
    lock = read_lock(built["lock"])
    return realise_tools(lock, Store(home.store), find_mirrors(environment=os.environ, locked=lock.mirrors), Report())


@contextmanager
def booted(image: Path, name: str, home: Home) -> Iterator[str]:
    """A machine of `invar run IMAGE` whose boot has been checked: the name that it got."""
    started = succeed("run", image, "--detach", "--name", name, "--json", home=home).json()
    try:
        checked = invar("check", started["name"], "--json", home=home)
        console = Path(started["console"]).read_text(errors="replace")[-3000:]
        assert checked.code == 0, checked.out + checked.err + console
        yield started["name"]
    finally:
        invar("stop", "--force", started["name"], home=home)


def test_the_live_iso_boots_from_a_cd_with_var_in_memory(built: dict[str, Any], home: Home) -> None:
    with booted(built["files"]["iso"], "live-iso", home) as name:
        cmdline, var, *blocks, failed = succeed("ssh", name, LOOK, home=home).out.splitlines()
        medium = succeed("ssh", name, "findmnt -no SOURCE,FSTYPE /run/invar/medium", home=home).out.split()
    assert f"invar.digest={built['system_digest']}" in cmdline
    assert (var, failed) == ("tmpfs", "0")
    assert "nvme0n1" not in blocks
    assert medium == ["/dev/sr0", "iso9660"]


@long_only
@pytest.mark.parametrize("name", ["qcow2", "vmdk", "azure", "vhdx"])
def test_a_disk_boots_in_its_format(built: dict[str, Any], home: Home, name: str) -> None:
    with booted(built["files"][name], f"format-{name}", home) as machine:
        cmdline, var, *_, failed = succeed("ssh", machine, LOOK, home=home).out.splitlines()
    assert f"invar.digest={built['system_digest']}" in cmdline
    assert (var, failed) == ("ext4", "0")


def test_the_kexec_bundle_boots_from_memory_alone(
    built: dict[str, Any], tools: Tools, key: Path, tmp_path: Path
) -> None:
    """kernel, initrd and command line are handed to the machine as kexec would, by QEMU; it has no disk."""
    with tarfile.open(built["files"]["kexec"]) as archive:
        archive.extractall(tmp_path, filter="data")
    port = free_port()
    console = tmp_path / "console"
    argv = [
        *machine(tools, port),
        *("-kernel", str(tmp_path / "kernel"), "-initrd", str(tmp_path / "initrd")),
        *("-append", (tmp_path / "cmdline").read_text().strip()),
    ]
    with process(argv, console):
        said = ask(tools, key, port, LOOK, console)
    cmdline, var, *blocks, _ = said.splitlines()
    assert f"invar.digest={built['system_digest']}" in cmdline
    assert var == "tmpfs"
    assert not [block for block in blocks if not block.startswith(("loop", "dm-"))]


@long_only
@pytest.mark.parametrize(
    ("name", "device", "var"),
    [
        pytest.param("raw-efi", ("ide-hd",), "ext4", id="sata"),
        pytest.param("raw-efi", ("virtio-scsi-pci", "scsi-hd"), "ext4", id="virtio-scsi, as Google's"),
        pytest.param("iso", ("virtio-scsi-pci", "scsi-hd"), "tmpfs", id="the ISO on a stick"),
    ],
)
def test_drivers_that_come_late_find_the_disk(
    built: dict[str, Any], tools: Tools, key: Path, tmp_path: Path, name: str, device: tuple[str, ...], var: str
) -> None:
    port = free_port()
    console = tmp_path / "console"
    variables = shutil.copy(tools.path("usr/share/OVMF/OVMF_VARS_4M.fd"), tmp_path)
    *controllers, disk = device
    argv = [
        *machine(tools, port),
        *("-drive", f"if=pflash,format=raw,readonly=on,file={tools.path('usr/share/OVMF/OVMF_CODE_4M.fd')}"),
        *("-drive", f"if=pflash,format=raw,file={variables}"),
        *(word for controller in controllers for word in ("-device", controller)),
        *("-drive", f"if=none,id=disk,format=raw,snapshot=on,file={built['files'][name]}"),
        *("-device", f"{disk},drive=disk,bootindex=0"),
    ]
    with process(argv, console):
        cmdline, found, *_ = ask(tools, key, port, LOOK, console).splitlines()
    assert f"invar.digest={built['system_digest']}" in cmdline
    assert found == var


@long_only
def test_the_runner_boots_in_the_qemu_that_the_path_has(
    built: dict[str, Any], tools: Tools, key: Path, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("qemu-system-x86_64", "qemu-img"):
        program = programs / name
        program.write_text("#!/bin/sh\nexec " + " ".join(qemu(tools, name)) + ' "$@"\n')
        program.chmod(0o755)
    port = free_port()
    console = tmp_path / "console"
    argv = ["env", f"PATH={programs}:{os.environ['PATH']}", "INVAR_NO_KVM=1", f"NIX_DISK_IMAGE={tmp_path}/state.qcow2"]
    with process([*argv, str(built["files"]["vm"]), "--port", f"{port}:22"], console):
        cmdline, var, *_ = ask(tools, key, port, LOOK, console).splitlines()
    assert f"invar.digest={built['system_digest']}" in cmdline
    assert var == "ext4"
    info = [*qemu(tools, "qemu-img"), "info", "--output=json", str(tmp_path / "state.qcow2")]
    shown = subprocess.run(info, check=True, capture_output=True)
    assert json.loads(shown.stdout)["actual-size"] > 1 << 20


def machine(tools: Tools, port: int) -> list[str]:
    """A machine without firmware or disk, on whose port 22 `port` leads."""
    return [
        *qemu(tools, "qemu-system-x86_64"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "q35,smm=off,vmport=off", "-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU),
        *("-m", "1400M", "-smp", "2"),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *("-serial", "stdio"),
    ]


def qemu(tools: Tools, name: str) -> list[str]:
    """A program of the tools' QEMU as a host would have it, without a sandbox."""
    libraries = tools.path("usr/lib/x86_64-linux-gnu")
    loader = tools.path("usr/lib64/ld-linux-x86-64.so.2")
    data = [] if name == "qemu-img" else [tools.path("usr/share/qemu"), tools.path("usr/share/seabios")]
    found = [word for place in data for word in ("-L", place)]
    argv = [loader, "--library-path", f"{libraries}:{libraries}/pulseaudio", tools.path(f"usr/bin/{name}"), *found]
    return [str(word) for word in argv]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def process(argv: list[str], output: Path) -> Iterator[None]:
    """A program that runs for the block, in a group of its own, which ends with it."""
    with output.open("wb") as file:
        running = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=file, stderr=file, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(running.pid, 15)
            running.wait(30)


def ask(tools: Tools, key: Path, port: int, command: str, console: Path) -> str:
    """What a command prints on the machine behind a port, once ssh answers there."""
    client = SshInstall.from_tools(tools).ssh
    options = [
        *("-F", "none", "-i", str(key), "-p", str(port)),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "ConnectTimeout=10", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
    ]
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        done = subprocess.run([*client, *options, "deploy@127.0.0.1", command], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < deadline, done.stderr + console.read_text(errors="replace")[-3000:]
        time.sleep(2)
