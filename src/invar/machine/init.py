"""`invar init`: what an instance does at boot with what EC2 tells it. Runs beside the boot, which never waits for it.

`metadata` asks the metadata service and applies names and keys; `user-data` then does what the user data asks for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Event, Note, Report, StageStarted, Warned
from invar.machine import state
from invar.machine.instance import Instance, read_instance
from invar.machine.metadata import Facts, connect, patience_here, read_facts
from invar.machine.user_data import HostKey, host_keys, unpacked
from invar.system.user_data import PublicKey, split_signature, verified

FOUND = Path("/run/ec2-metadata")
"""What the metadata service said, a file each; the directory is root's."""
AUTHORIZED_KEYS = Path("/var/root/.ssh/authorized_keys")
HOST_KEYS = Path("/var/lib/ssh")
_HOST_NAME = Path("/proc/sys/kernel/hostname")
_CONSOLE = Path("/dev/console")


def main(arguments: list[str]) -> int:
    """The verb; the exit code."""
    parser = argparse.ArgumentParser(
        prog="invar init",
        description="What an instance does at boot: take over names and keys from EC2's metadata, then do what its "
        "user data asks for. Each runs by its own unit: fetch-ec2-metadata.service and amazon-init.service.",
        epilog="example: invar init user-data",
    )
    parser.add_argument("step", choices=("metadata", "user-data"))
    options = parser.parse_args(arguments)
    report = Report(tell)
    if options.step == "metadata":
        take_over(report)
        return ExitCode.DONE
    from invar.machine.apply import apply_user_data
    from invar.machine.proof import announce, gather

    taken = apply_user_data(FOUND, report)
    announce(gather())
    return ExitCode.DONE if taken else ExitCode.FAILED


def take_over(report: Report) -> None:
    """Ask the metadata service, keep what it says in FOUND, and apply what needs no decision.

    Where no service answers the machine is not on EC2 and keeps what it has. Raises InvarError.
    """
    session = connect(patience_here())
    if session is None:
        report.note("no metadata service answers: not on EC2")
        return
    facts = read_facts(session)
    keep(facts, FOUND)
    instance = read_instance()
    if instance.takes_host_name and facts.host_name:
        _HOST_NAME.write_text(facts.host_name.partition(".")[0] + "\n")
    if facts.public_keys and authorize(facts.public_keys, AUTHORIZED_KEYS):
        report.note(f"{len(facts.public_keys)} public keys of the instance let root in")
    if facts.user_data and place_host_keys(_keys_of(facts.user_data, instance, report), HOST_KEYS):
        report.note("the host keys are those of the user data")
        subprocess.run(["systemctl", "--no-block", "try-reload-or-restart", "sshd.service"], check=False)
    (FOUND / "complete").touch()


def keep(facts: Facts, directory: Path) -> None:
    """Write the facts as files, readable by root alone: user data may hold what is nobody else's business."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    texts = {
        "instance-id": facts.instance_id,
        "hostname": facts.host_name,
        "region": facts.region,
        "public-keys": "\n".join(facts.public_keys) or None,
        "tags.json": json.dumps(facts.tags, sort_keys=True),
    }
    contents = {name: text.encode() + b"\n" for name, text in texts.items() if text is not None}
    if facts.user_data is not None:
        contents["user-data"] = facts.user_data
    for name in ("hostname", "region", "public-keys", "user-data"):
        if name not in contents:
            (directory / name).unlink(missing_ok=True)
    for name, content in contents.items():
        state.write_whole(directory / name, content)


def authorize(keys: tuple[str, ...], path: Path) -> bool:
    """Let the keys in as root, unless somebody's keys are there already; whether they were written."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    state.write_whole(path, "".join(f"{key}\n" for key in keys).encode())
    return True


def place_host_keys(keys: tuple[HostKey, ...], directory: Path) -> bool:
    """Make these the machine's host keys; whether that changed any."""
    changed = False
    for key in keys:
        private = directory / f"ssh_host_{key.kind}_key"
        if private.exists() and private.read_text() == key.private:
            continue
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        state.write_whole(private.with_name(private.name + ".pub"), key.public.encode(), 0o644)
        state.write_whole(private, key.private.encode())
        changed = True
    return changed


def content_of(data: bytes, instance: Instance) -> bytes:
    """User data unpacked and, where the image trusts certain keys only, proved to be signed by one of them.

    Raises InvarError for what is not to be taken.
    """
    text = unpacked(data)
    if instance.trusted_keys:
        return verified(text, [PublicKey.parse(key) for key in instance.trusted_keys])
    return split_signature(text)[0]


def say_on_console(text: str) -> None:
    """One line for whoever reads the instance's console output."""
    try:
        descriptor = os.open(_CONSOLE, os.O_WRONLY | os.O_NOCTTY)
    except OSError as error:
        print(f"the console takes nothing: {error}", file=sys.stderr)
        return
    try:
        os.write(descriptor, f"\n{text}\n".encode())
    finally:
        os.close(descriptor)


def tell(event: Event) -> None:
    """Events as lines of the journal."""
    if isinstance(event, Note | Warned):
        print(event.text, file=sys.stderr, flush=True)
    elif isinstance(event, StageStarted):
        print(event.stage, file=sys.stderr, flush=True)


def _keys_of(data: bytes, instance: Instance, report: Report) -> tuple[HostKey, ...]:
    """Host keys are taken from user data that may be taken at all; why not is told when it is applied."""
    try:
        return host_keys(content_of(data, instance))
    except InvarError as error:
        report.warn(f"no host keys are taken from the user data: {error.what}")
        return ()
