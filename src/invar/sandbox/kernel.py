"""System calls that Python 3.11 does not offer, by ctypes; names and numbers are the kernel's own."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_RELATIME = 0x200000
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
SIGKILL = 9

_AF_INET = 2
_SOCK_DGRAM = 2
_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x41
_SIG_DFL = 0
_STATVFS_FLAGS = {
    0x1: MS_RDONLY,
    0x2: MS_NOSUID,
    0x4: MS_NODEV,
    0x8: MS_NOEXEC,
    0x400: MS_NOATIME,
    0x800: MS_NODIRATIME,
    0x1000: MS_RELATIME,
}

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError that names the target."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        os.fsencode(data) or None,
    )
    _check(result, f"mount {kind or 'bind'} on {target}")


def bind(source: str, target: str, read_only: bool) -> None:
    """Bind a tree with all that is mounted in it. The flags that a user namespace may not clear are kept."""
    mount(source, target, "", MS_BIND | MS_REC)
    if read_only:
        current = os.statvfs(target).f_flag
        kept = sum(flag for bit, flag in _STATVFS_FLAGS.items() if current & bit)
        mount("none", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def pivot_root_here() -> None:
    """Make the current directory, a mount point, the root of this mount namespace. See pivot_root(2)."""
    _check(_libc.syscall(_pivot_root_number(), b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount the old root")
    os.chdir("/")


def set_host_name(name: str) -> None:
    """sethostname(2)."""
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "prctl")


def default_signals() -> None:
    """Undo what the Python interpreter does to signals."""
    for number in (1, 2, 13, 15, 25):
        _libc.signal(number, ctypes.c_void_p(_SIG_DFL))


def loopback_up() -> None:
    """Bring up `lo` of this network namespace, netdevice(7)."""
    descriptor = _libc.socket(_AF_INET, _SOCK_DGRAM, 0)
    _check(min(descriptor, 0), "socket")
    request = ctypes.create_string_buffer(b"lo".ljust(16, b"\0") + _IFF_UP_RUNNING.to_bytes(2, "little") + bytes(22))
    result = _libc.ioctl(descriptor, ctypes.c_ulong(_SIOCSIFFLAGS), request)
    os.close(descriptor)
    _check(result, "bring up lo")


def _pivot_root_number() -> int:
    numbers = {"x86_64": 155, "aarch64": 41}
    machine = os.uname().machine
    if machine not in numbers:
        raise OSError(38, f"no system call numbers for {machine}")
    return numbers[machine]


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
