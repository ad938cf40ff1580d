"""Where an instance keeps what it knows: paths, the lock of whoever changes it, files that are whole or absent."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.image.instance_files import ImageRecord

STATE = Path("/var/lib/invar")
"""What outlives a boot."""
GENERATIONS = STATE / "generations"
LAYERS = STATE / "layers"
"""Layers by kind and verity root hash, `config-ROOT`: the initrd looks for them here."""
REFUSED = STATE / "refused"

RUN = Path("/run/invar")
"""What a boot forgets."""
ACTIVE = RUN / "active.json"
STARTED = RUN / "started"
"""The command line of the generation that a soft-reboot started; absent where the kernel's own holds."""
LAYER_DEVICES = RUN / "layers.env"
"""The block devices of its layers, for invar-layers.service."""
BOOT_FILES = RUN / "boot-files.json"
"""Kernel and initrd of the boot entry that was booted, by their SHA-256, as they were found in this boot."""
LOCK = RUN / "lock"
CACHE = RUN / "cache"
"""Compiled code."""
CODE_CACHE = CACHE / "code"
ACTIVE_ROOT = RUN / "active"
"""The config layer that a live switch made active, mounted; only a directory where there was no switch."""
PACKAGES_ROOT = RUN / "packages"
"""The packages layer, mounted by the initrd, or since by a soft-reboot."""
CONFIG_ROOT = RUN / "config"
"""The config layer of the system that was started: by the initrd, or since by a soft-reboot."""

BAKED = Path("/etc/invar/configuration")
"""The files of the active system's configuration."""
BOOTED_BAKED = CONFIG_ROOT / "etc/invar/configuration"
RECORD = Path("/etc/invar/image.json")
SETTINGS = Path("/etc/invar/machine.json")


def read_record(path: Path = RECORD) -> ImageRecord:
    """What is in the active system (or in the layer that `path` belongs to). Raises InvarError when there is none."""
    return ImageRecord.from_data(read_json(path))


def read_json(path: Path) -> Any:
    """A JSON file. Raises InvarError when it is absent, unreadable or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InvarError(
            f"there is no {path}", hint="`invar` on an instance needs an image that has invar.machine.enable"
        ) from None
    except PermissionError:
        raise InvarError(f"{path} is root's", hint="run `sudo invar ...`") from None
    except (OSError, ValueError) as error:
        raise InvarError(f"{path} cannot be read", why=str(error)) from error


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that whatever happens it is the old one or the new one. Raises InvarError."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InvarError(f"{path} cannot be written", why=error.strerror) from error


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of a JSON value."""
    write_whole(path, json.dumps(value, sort_keys=True, indent=1).encode() + b"\n")


def sync_directory(path: Path) -> None:
    """Make renames and deletions in a directory last."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusively(what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the instance's one lock. Raises InvarError for anyone but root, and, unless told to wait, if it is taken."""
    try:
        RUN.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError:
        raise InvarError(f"{what} is root's to do", hint="run `sudo invar ...`") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
            raise InvarError(
                "another invar is at work on this machine", why=holder or None, hint="wait until it has ended"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{what} (process {os.getpid()})\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def refuse(text: str) -> None:
    """Keep why the last switch or user data was not taken, for proof to tell."""
    write_whole(REFUSED, text.strip().encode() + b"\n", 0o644)


def accept() -> None:
    """The last switch or user data was taken."""
    REFUSED.unlink(missing_ok=True)


def refused() -> str | None:
    """Why the last switch or user data was not taken; None when it was."""
    try:
        return REFUSED.read_text(errors="replace").strip() or None
    except FileNotFoundError:
        return None
