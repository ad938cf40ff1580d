"""The instance's generations: numbered systems, each a record in /var that names its layers and its command line."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

from invar.core.errors import ExitCode, InvarError
from invar.image.layer import BLOCK
from invar.machine import state
from invar.system.decode import decode
from invar.system.record import plain

State = Literal["new", "good", "failed"]
"""new: not booted or switched to yet; good: its checks passed; failed: they did not, or it did not get that far."""

_NAME = re.compile(r"(\d{6})\.json")


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer by its verity parameters: hex root hash and salt, blocks of 4 KiB of data, and with the hash tree."""

    kind: Literal["packages", "config"]
    root_hash: str
    salt: str
    data_blocks: int
    total_blocks: int

    @property
    def parameter(self) -> str:
        """The word of the kernel command line that the initrd reads."""
        return f"invar.{self.kind}={self.root_hash}:{self.salt}:{self.data_blocks}"

    @property
    def file_name(self) -> str:
        """Its file in `state.LAYERS`."""
        return f"{self.kind}-{self.root_hash}"

    @property
    def bytes(self) -> int:
        """Size of that file."""
        return self.total_blocks * BLOCK


@dataclass(frozen=True, slots=True)
class Generation:
    """One numbered system.

    `cmdline` is the command line without invar.digest, `created` seconds since 1970, `origin` says where it came from
    ("image", "switch", "published"). `bootable`: there is a boot entry for it.
    """

    number: int
    digest: str
    spec_digest: str
    packages: LayerRecord
    config: LayerRecord
    cmdline: str
    kernel_version: str
    kernel_sha256: str
    initrd_sha256: str
    created: int
    origin: Literal["image", "switch", "published"]
    state: State
    bootable: bool


def read_all() -> tuple[Generation, ...]:
    """All generations, oldest first. Raises InvarError for a record that cannot be understood."""
    try:
        names = sorted(entry.name for entry in state.GENERATIONS.iterdir())
    except FileNotFoundError:
        return ()
    except PermissionError:
        raise InvarError("the generations are root's to read", hint="run `sudo invar ...`") from None
    found = []
    for name in names:
        if _NAME.fullmatch(name):
            path = state.GENERATIONS / name
            generation: Any = decode(Generation, state.read_json(path), str(path))
            found.append(generation)
    return tuple(found)


def write(generation: Generation) -> None:
    """Keep a generation's record, in the place of what was there."""
    state.write_json(state.GENERATIONS / f"{generation.number:06}.json", plain(generation))


def forget(number: int) -> None:
    """Delete a generation's record."""
    (state.GENERATIONS / f"{number:06}.json").unlink(missing_ok=True)
    state.sync_directory(state.GENERATIONS)


def mark(generation: Generation, found: State) -> Generation:
    """The generation with another state, written if that is news."""
    marked = replace(generation, state=found)
    if marked != generation:
        write(marked)
    return marked


def by_number(generations: tuple[Generation, ...], number: int) -> Generation:
    """The generation with a number. Raises InvarError when there is none."""
    for generation in generations:
        if generation.number == number:
            return generation
    known = ", ".join(str(generation.number) for generation in generations)
    raise InvarError(f"there is no generation {number}", hint=f"there are {known}", exit_code=ExitCode.USAGE)


def by_digest(generations: tuple[Generation, ...], digest: str) -> Generation | None:
    """The newest generation with a system digest."""
    return next((generation for generation in reversed(generations) if generation.digest == digest), None)


def next_number(generations: tuple[Generation, ...]) -> int:
    """The number that a new generation gets."""
    return 1 + max((generation.number for generation in generations), default=0)


def previous(generations: tuple[Generation, ...], active: int) -> Generation | None:
    """Where `rollback` goes without a number: the newest good generation before the active one."""
    return next(
        (one for one in reversed(generations) if one.number < active and one.state == "good"),
        None,
    )


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())
