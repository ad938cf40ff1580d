"""Run one command in a sandbox of its own: new namespaces, a root, nothing of the host but what is bound in."""

from __future__ import annotations

import marshal
import os
import select
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from invar.core.children import child
from invar.core.errors import InvarError
from invar.sandbox.identity import Mapping, find_mapping, why_refused
from invar.sandbox.spec import HOST_NAME, Bind, Command, Completed, Directory, Overlay, Root

_SOURCES = Path(__file__).resolve().parent.parent.parent
_BOOTSTRAP = "import sys; sys.path.insert(0, {!r}); from invar.sandbox.inside import main; main()"
_SETUP_FAILED = 125
_LAST_LINES = 25


def run(
    command: Command,
    root: Root | None,
    *,
    binds: Sequence[Bind] = (),
    network: bool = False,
    stdin: IO[bytes] | int | None = None,
    check: bool = True,
) -> Completed:
    """Run a command to its end in a sandbox of its own; without a root, on the host's files as a namespace's root.

    Without `network` there is only a loopback interface. An exception here (Ctrl-C too) kills everything inside. Raises
    InvarError when the sandbox can't be made, the time is up, or, with `check`, the exit status is not 0; its `why`
    ends with the last lines of output.
    """
    lifeline_inside, lifeline = os.pipe()
    fault, fault_inside = os.pipe()
    inside = ExitStack()
    inside.callback(os.close, lifeline_inside)
    inside.callback(os.close, fault_inside)
    try:
        with (
            inside,
            child(
                sandbox_argv(command, root, binds, network, lifeline=lifeline_inside, fault=fault_inside),
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(lifeline_inside, fault_inside),
                start_new_session=True,
            ) as process,
        ):
            output = _wait(process, command)
        if process.returncode == _SETUP_FAILED and (message := os.read(fault, 1 << 16)):
            raise setup_failed(message)
    finally:
        os.close(lifeline)
        os.close(fault)
    completed = Completed(process.returncode if process.returncode >= 0 else 128 - process.returncode, output)
    if check and completed.status != 0:
        raise command_failed(command, completed)
    return completed


def long_running_argv(command: Command, root: Root, *, binds: Sequence[Bind] = (), network: bool = False) -> list[str]:
    """The argv for a `subprocess.Popen` of the caller's own.

    SIGTERM, SIGINT and SIGHUP reach the program; SIGKILL of the started process kills everything inside. stdin, stdout
    and stderr are inherited; other descriptors by `pass_fds`. Its exit status is the program's, 125 when the sandbox
    could not be made (the reason is on stderr). The command's timeout does not count.
    """
    return sandbox_argv(command, root, binds, network, lifeline=None, fault=None)


def sandbox_argv(
    command: Command | None,
    root: Root | None,
    binds: Sequence[Bind],
    network: bool,
    *,
    lifeline: int | None,
    fault: int | None,
) -> list[str]:
    """The argv that starts `invar.sandbox.inside`. `lifeline` and `fault` are inherited descriptors."""
    mapping = find_mapping()
    spec: dict[str, Any] = {
        "mapping": _mapping_data(mapping),
        "root": _root_data(root, rootless=mapping is not None),
        "binds": [(str(bind.source), bind.target, bind.read_only) for bind in binds],
        "network": network,
        "host_name": HOST_NAME,
        "command": command.to_data() if command else None,
        "lifeline": lifeline,
        "fault": fault,
    }
    bootstrap = _BOOTSTRAP.format(str(_SOURCES))
    return [sys.executable, "-I", "-S", "-c", bootstrap, zlib.compress(marshal.dumps(spec), 1).hex()]


def _wait(process: subprocess.Popen[bytes], command: Command) -> bytes:
    """What the command wrote, once it has ended. Raises InvarError when its time is up."""
    try:
        return process.communicate(timeout=command.timeout)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise timed_out(command, process.communicate()[0]) from None


def last_lines(output: bytes) -> str:
    """The end of a program's output, for an error's `why`."""
    return "\n".join(output.decode(errors="replace").strip().splitlines()[-_LAST_LINES:])


def command_failed(command: Command, completed: Completed) -> InvarError:
    """The error for an exit status other than 0."""
    if completed.status > 128:
        ending = f"was killed by {_signal_name(completed.status - 128)}"
    else:
        ending = f"failed with exit status {completed.status}"
    return InvarError(
        f"{Path(command.argv[0]).name} {ending}", where=_shown(command), why=last_lines(completed.output) or None
    )


def timed_out(command: Command, output: bytes) -> InvarError:
    """The error for a command that took too long."""
    return InvarError(
        f"{Path(command.argv[0]).name} did not end within {command.timeout:.0f} s",
        where=_shown(command),
        why=last_lines(output) or None,
    )


def setup_failed(message: bytes) -> InvarError:
    """The error that the program inside reported before it could start anything: "ERRNO what: why"."""
    number, _, text = message.decode(errors="replace").strip().partition(" ")
    what, _, why = text.partition(": ")
    hint = why_refused() if number in ("1", "13", "28") else None
    if hint is None and why.startswith("mount overlay"):
        hint = (
            "this file system may be unfit for an overlay's writes; set INVAR_HOME to a directory on ext4, xfs or btrfs"
        )
    return InvarError(what, why=why or None, hint=hint)


def wait_until(descriptor: int, deadline: float) -> bool:
    """Wait for a descriptor to be readable until a `time.monotonic()`; False when the time is up."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _shown(command: Command) -> str:
    words = " ".join(command.argv)
    return words if len(words) <= 200 else words[:197] + "..."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _mapping_data(mapping: Mapping | None) -> dict[str, Any] | None:
    if mapping is None:
        return None
    return {
        "uids": list(mapping.uids),
        "gids": list(mapping.gids),
        "newuidmap": mapping.newuidmap,
        "newgidmap": mapping.newgidmap,
    }


def _root_data(root: Root | None, rootless: bool) -> dict[str, Any] | None:
    match root:
        case None:
            return None
        case Directory(path, writable):
            return {"kind": "directory", "path": str(path), "writable": writable}
        case Overlay(lowers, scratch):
            return {
                "kind": "overlay",
                "lowers": [str(lower) for lower in lowers],
                "scratch": str(scratch),
                "userxattr": rootless,
            }
