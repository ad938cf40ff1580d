"""Keys are made once, and a machine's host keys are taken from its console."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.home import Home
from invar.vm.install import SshInstall
from invar.vm.process import ProcessIdentity
from invar.vm.record import Machine
from invar.vm.ssh import (
    SshAccess,
    SshKey,
    ensure_key,
    fingerprint,
    learn_host_keys,
    shown_fingerprints,
    shown_keys,
    ssh_argv,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKzH2UiloptYmNyuYQ3sACAhKVkOsrKOehiV6ZoaZkxo"
KEYS = f"""
-----BEGIN SSH HOST KEY FINGERPRINTS-----
256 SHA256:QxVUtzwzJ8+62Tk//XBcQnQNmXnPvh8s5Td4ymoSyJQ root@web (ED25519)
-----END SSH HOST KEY FINGERPRINTS-----
-----BEGIN SSH HOST KEY KEYS-----
{KEY} root@web
-----END SSH HOST KEY KEYS-----
"""


@pytest.fixture(scope="module")
def client() -> SshInstall:
    """The host's OpenSSH: the tools layer's is used when machines are booted."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("the host has no OpenSSH client")
    return SshInstall.from_host()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(
        name="web",
        directory=tmp_path,
        state="running",
        supervisor=ProcessIdentity.own(),
        qemu=None,
        image="/image",
        digest=None,
        instance_id="i-0",
        ports={22: 40022},
        accelerator="tcg",
        memory=0,
        cpus=0,
        starter=None,
        created=0.0,
    )


@pytest.fixture
def access(tmp_path: Path) -> SshAccess:
    return SshAccess(
        SshInstall(("/usr/bin/ssh",), ("false",), ("false",)), SshKey(tmp_path / "id_ed25519", "ssh-ed25519 AAAA")
    )


def options(argv: list[str]) -> dict[str, str]:
    """The -o options."""
    return dict(value.split("=", 1) for name, value in pairwise(argv) if name == "-o")


def test_the_key_is_made_once_whoever_is_first(client: SshInstall, tmp_path: Path) -> None:
    home = Home(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda _: ensure_key(home, client), range(4)))
    assert len(set(keys)) == 1
    assert keys[0].public.startswith("ssh-ed25519 AAAA")
    assert keys[0].private.stat().st_mode & 0o777 == 0o600
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(keys[0].private)], capture_output=True, text=True, check=True
    )
    assert derived.stdout.split()[:2] == keys[0].public.split()[:2]
    assert [path.name for path in home.keys.iterdir()] == ["local"]


def test_a_key_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    broken = SshInstall(("ssh",), ("sh", "-c", "echo no entropy >&2; exit 1"), ("ssh-keyscan",))
    with pytest.raises(InvarError, match="can't be made") as raised:
        ensure_key(Home(tmp_path), broken)
    assert raised.value.why == "no entropy"
    assert list((tmp_path / "keys").iterdir()) == []


def test_a_fingerprint_is_ssh_keygens(client: SshInstall, tmp_path: Path) -> None:
    key = ensure_key(Home(tmp_path), client)
    listed = subprocess.run(["ssh-keygen", "-l", "-f", str(key.private)], capture_output=True, text=True, check=True)
    assert fingerprint(key.public) == listed.stdout.split()[1]


def test_keys_between_the_marks_are_read() -> None:
    assert shown_keys(KEYS) == [KEY]
    assert shown_fingerprints(KEYS) == {"SHA256:QxVUtzwzJ8+62Tk//XBcQnQNmXnPvh8s5Td4ymoSyJQ"}


def test_after_a_restart_the_last_keys_count() -> None:
    assert shown_keys(KEYS.replace("kxo", "old") + KEYS) == [KEY]


@pytest.mark.parametrize("text", ["", KEY, "-----BEGIN SSH HOST KEY KEYS-----\n" + KEY])
def test_keys_outside_of_complete_marks_do_not_count(text: str) -> None:
    assert shown_keys(text) == []


def test_a_key_on_the_console_is_demanded(machine: Machine, access: SshAccess) -> None:
    machine.console_log.write_text(KEYS)
    argv = ssh_argv(machine, access)
    assert options(argv)["StrictHostKeyChecking"] == "yes"
    assert machine.known_hosts.read_text() == f"web {KEY}\n"
    assert options(argv)["HostKeyAlias"] == "web"


def test_before_the_console_shows_one_the_first_is_kept(machine: Machine, access: SshAccess) -> None:
    assert options(ssh_argv(machine, access))["StrictHostKeyChecking"] == "accept-new"


def test_a_key_whose_fingerprint_was_not_shown_is_refused(machine: Machine, tmp_path: Path) -> None:
    machine.console_log.write_text(KEYS.replace(KEY, ""))
    impostor = SshInstall(("ssh",), ("false",), ("sh", "-c", f"echo '[127.0.0.1]:40022 {KEY[:-4]}AAAA'"))
    with pytest.raises(InvarError, match="none of those that its console shows"):
        learn_host_keys(machine, impostor)
    assert not machine.known_hosts.exists()


def test_a_key_whose_fingerprint_was_shown_is_taken(machine: Machine) -> None:
    shown = KEYS.replace(KEY, "").replace("SHA256:QxVUtzwzJ8+62Tk//XBcQnQNmXnPvh8s5Td4ymoSyJQ", fingerprint(KEY))
    machine.console_log.write_text(shown)
    scan = SshInstall(("ssh",), ("false",), ("sh", "-c", f"echo '# banner'; echo '[127.0.0.1]:40022 {KEY}'"))
    assert learn_host_keys(machine, scan)
    assert machine.known_hosts.read_text() == f"web {KEY}\n"


def test_words_of_a_command_arrive_as_they_are(machine: Machine, access: SshAccess) -> None:
    argv = ssh_argv(machine, access, ("echo", "a b", "$HOME", "it's"))
    shell = subprocess.run(["sh", "-c", argv[-1]], capture_output=True, text=True, check=True)
    assert shell.stdout == "a b $HOME it's\n"
    assert argv[-2] == "127.0.0.1"


def test_root_is_offered_only_our_key_and_others_their_own_too(
    machine: Machine, access: SshAccess, tmp_path: Path
) -> None:
    assert options(ssh_argv(machine, access))["IdentitiesOnly"] == "yes"
    argv = ssh_argv(machine, access, user="deploy", identities=(tmp_path / "deploy",))
    assert "IdentitiesOnly" not in options(argv)
    assert argv[argv.index("-i") + 1] == str(tmp_path / "deploy")


def test_ssh_understands_all_options(client: SshInstall, machine: Machine, tmp_path: Path) -> None:
    directory = tmp_path / "with space and 100%"
    directory.mkdir()
    odd = dataclasses.replace(machine, directory=directory)
    odd.console_log.write_text(KEYS)
    argv = ssh_argv(odd, SshAccess(client, SshKey(tmp_path / "id", "")), options=("-G",))
    settings = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert f"userknownhostsfile {directory}/known_hosts" in settings.replace('"', "").replace("%%", "%")
    assert "stricthostkeychecking true" in settings
    assert "port 40022" in settings


def test_without_the_port_there_is_no_way_in(machine: Machine, access: SshAccess) -> None:
    with pytest.raises(InvarError, match="port 22"):
        ssh_argv(dataclasses.replace(machine, ports={}), access)
