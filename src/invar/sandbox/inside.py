"""The program between us and a sandboxed command: makes the namespaces, then is their first process.

Started as a fresh interpreter (by launch.py), often: it imports next to nothing. Two processes come of
it. The *launcher* stays in the caller's PID namespace, waits and passes signals on. The *init* is PID 1 of the new one:
it starts the command, reaps orphans, and by ending ends everything inside. The kernel kills init when the launcher
dies.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import sys
import warnings  # noqa: F401 (os.execvpe imports it, when the standard library may be out of sight)
import zlib
from typing import Any, NoReturn

from invar.sandbox import kernel
from invar.sandbox.assemble import assemble_root

SETUP_FAILED = 125
"""Exit status when the sandbox could not be made, as env(1) and its like use it."""
NOT_STARTED = 127
"""Exit status when the command could not be executed."""

Spec = dict[str, Any]


def main() -> NoReturn:
    """Read the specification (marshal, zlib, hexadecimal: an argument has 128 KiB) from the argument; act on it."""
    spec: Spec = marshal.loads(zlib.decompress(bytes.fromhex(sys.argv[1])))
    os.umask(0o022)
    for descriptor in (spec["lifeline"], spec["fault"]):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
    try:
        if spec["mapping"]:
            _map_identities(spec["mapping"])
        flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWPID
        kernel.unshare(flags if spec["network"] else flags | kernel.CLONE_NEWNET)
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.set_host_name(spec["host_name"])
        if not spec["network"]:
            kernel.loopback_up()
        top = assemble_root(spec["root"], spec["binds"]) if spec["root"] else None
    except OSError as error:
        _fail(spec, "the sandbox could not be made", error)
    child = os.fork()
    if child == 0:
        _init(spec, top)
    _launcher(child)


def _launcher(child: int) -> NoReturn:
    if sys.stdin is not None:
        os.close(0)
    import signal

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, frame: os.kill(child, received))
    _, status = os.waitpid(child, 0)
    os._exit(_exit_status(status))


def _init(spec: Spec, top: str | None) -> NoReturn:
    kernel.die_with_parent()
    try:
        if top is not None:
            kernel.mount("proc", f"{top}/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    except OSError as error:
        _fail(spec, "the sandbox could not be made", error)
    if spec["command"] is not None:
        child = _start(spec, spec["command"], top, (0, 1, 2))
        os._exit(_supervise(child, spec["lifeline"]))
    _serve(spec, top)


def _serve(spec: Spec, top: str | None) -> NoReturn:
    """Run commands as they come on the socket: each a message with three descriptors, answered by an exit status."""
    import socket

    channel = socket.socket(fileno=spec["lifeline"])
    channel.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 1 << 17, 3)
        if not message:
            os._exit(0)
        child = _start(spec, marshal.loads(message), top, (descriptors[0], descriptors[1], descriptors[2]))
        for descriptor in descriptors:
            os.close(descriptor)
        status = _supervise(child, spec["lifeline"])
        _kill_the_rest()
        channel.send(str(status).encode())


def _supervise(child: int, lifeline: int | None) -> int:
    """Wait for the command; end everything when the lifeline is cut. Signals to init go to the command."""
    import signal

    def forward(received: int, frame: object) -> None:
        os.kill(child, received)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    if lifeline is not None:
        poll.register(lifeline, select.POLLHUP)
    while True:
        ready = poll.poll()
        if any(descriptor == ended for descriptor, _ in ready):
            os.close(ended)
            return _exit_status(os.waitpid(child, 0)[1])
        if any(flags & (select.POLLHUP | select.POLLERR) for _, flags in ready):
            os._exit(1)


def _kill_the_rest() -> None:
    """Nothing that a command left running outlives it."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, kernel.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _start(spec: Spec, command: Spec, top: str | None, descriptors: tuple[int, int, int]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        kernel.default_signals()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        if command["in_root"] and top is not None:
            kernel.unshare(kernel.CLONE_NEWNS)
            os.chdir(top)
            kernel.pivot_root_here()
        os.chdir(command["cwd"])
        os.setgroups([command["gid"]])
        os.setgid(command["gid"])
        os.setuid(command["uid"])
        os.execvpe(command["argv"][0], command["argv"], command["environment"])
    except OSError as error:
        os.write(2, f"{command['argv'][0]}: {error.strerror}\n".encode())
    os._exit(NOT_STARTED)


def _map_identities(mapping: Spec) -> None:
    """Enter a user namespace whose ids newuidmap and newgidmap write, from a helper that is still outside."""
    outside = os.getpid()
    wait, go = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(go)
        if os.read(wait, 1) != b"x":
            os._exit(0)
        for program, lines in ((mapping["newuidmap"], mapping["uids"]), (mapping["newgidmap"], mapping["gids"])):
            argv = [program, str(outside), *(str(number) for line in lines for number in line)]
            status = os.spawnv(os.P_WAIT, program, argv)
            if status != 0:
                os._exit(1)
        os._exit(0)
    os.close(wait)
    kernel.unshare(kernel.CLONE_NEWUSER)
    os.write(go, b"x")
    os.close(go)
    if os.waitpid(helper, 0)[1] != 0:
        raise OSError(1, "newuidmap or newgidmap refused the subordinate ids")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.setgroups([])


def _exit_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _fail(spec: Spec, what: str, error: OSError) -> NoReturn:
    message = f"{error.errno or 0} {what}: {error.strerror}: {error.filename or ''}".rstrip(": ")
    os.write(2 if spec["fault"] is None else spec["fault"], message.encode() + b"\n")
    os._exit(SETUP_FAILED)
