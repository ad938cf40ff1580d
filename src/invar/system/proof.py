"""What an instance says that it runs: the record that it prints at boot and answers with, and that fleets judge by."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from invar.core.errors import ExitCode, InvarError
from invar.system.record import plain

SCHEMA = 1
CONSOLE_PREFIX = "invar-proof: "
"""Before the JSON, on one line of the serial console, at boot and after every switch."""

DEFAULT_PORT = 9741
"""Where `GET /proof?nonce=N` is answered, when the configuration says so."""

_NONCE = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")

LayerState = Literal["verified", "corrupted", "missing"]
CheckState = Literal["passed", "failed", "pending"]
ProcessKind = Literal["undeclared", "foreign", "session"]
FileState = Literal["kept", "altered", "missing", "new", "unread", "covered"]
Against = Literal["source", "first"]


@dataclass(frozen=True, slots=True)
class LayerProof:
    """A layer as the kernel has it: `kind` "packages" or "config", its verity root hash, dm-verity's own status."""

    kind: str
    root_hash: str
    state: LayerState


@dataclass(frozen=True, slots=True)
class CheckProof:
    """One declared check's latest outcome; `message` says why it is not passed."""

    name: str
    state: CheckState
    message: str = ""


@dataclass(frozen=True, slots=True)
class ProcessProof:
    """Processes (`count` of them, `pids` the first few) of one unit and program that the system does not declare.

    undeclared: their unit, or a drop-in of it, is not from the sealed system; `why` says where it is from. A unit that
    was made by hand and runs nothing has `count` 0. foreign: the program is not from the sealed system. session: of
    somebody who is logged in. What is several of these is the first of them.
    """

    kind: ProcessKind
    unit: str
    program: str
    pids: tuple[int, ...]
    count: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class FileProof:
    """A tree that is declared immutable (`invar.immutable`), compared with its source, or with what it was at first; or
    a place of the sealed system that something else is mounted over (covered: `message` tells what).

    kept: as it was. new: it was not there yet when it could have been recorded. unread: `message` says why it could not
    be compared. `digest` is what is there, `reference` what should be ("" where there is none); `changed` names the
    first few files in it that differ, relative to `path`.
    """

    path: str
    state: FileState
    against: Against
    digest: str
    reference: str
    changed: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a machine runs, by its own evidence.

    `booted_digest` is the system digest on the kernel command line, `active_digest` that of the system whose layers are
    mounted now (it differs after a live switch). Generations are the instance's own numbers. `refused` says why the
    last user data or switch was not taken, None when it was. `boot_id` is the kernel's; `uptime` is in seconds.
    `nonce` repeats what the asker sent. `quote` is where a TPM quote over all of this will be. `time` is when it was
    gathered, in seconds since 1970 by the machine's clock. `processes` are those that the system does not declare, and
    `files` the trees that it declares immutable; an earlier Invar tells neither of them (None), nor the time.
    """

    booted_digest: str
    active_digest: str
    booted_generation: int
    active_generation: int
    kernel: str
    boot_id: str
    uptime: float
    instance_id: str | None
    layers: tuple[LayerProof, ...]
    checks: tuple[CheckProof, ...]
    failed_units: tuple[str, ...]
    refused: str | None = None
    nonce: str | None = None
    quote: str | None = None
    time: float | None = None
    processes: tuple[ProcessProof, ...] | None = None
    files: tuple[FileProof, ...] | None = None

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"schema": SCHEMA, **plain(self)}, separators=(",", ":"), sort_keys=True)

    def shows(self, system_digest: str) -> bool:
        """Whether this system is active, and every layer of it is there and was never found altered."""
        return self.active_digest == system_digest and all(layer.state == "verified" for layer in self.layers)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Proof:
        """Read what `to_json` wrote. Unknown fields of a later Invar are passed over.

        Raises InvarError, with `where`, for anything that is not a whole proof: it comes from the machine in question.
        """
        try:
            data = json.loads(text)
            return cls(
                **{name: _typed(kind, data[name]) for name, kind in _FIELDS.items()},
                layers=tuple(
                    LayerProof(
                        _typed(str, each["kind"]), _typed(str, each["root_hash"]), _one_of(LayerState, each["state"])
                    )
                    for each in data["layers"]
                ),
                checks=tuple(
                    CheckProof(
                        _typed(str, each["name"]), _one_of(CheckState, each["state"]), _typed(str, each["message"])
                    )
                    for each in data["checks"]
                ),
                failed_units=tuple(_typed(str, unit) for unit in data["failed_units"]),
                time=_typed((int, float, type(None)), data.get("time")),
                processes=_each(_process, data.get("processes")),
                files=_each(_file, data.get("files")),
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvarError(
                "this is no proof of what a machine runs", where=where, why=f"{type(error).__name__}: {error}"
            ) from error


def checked_nonce(nonce: str | None) -> str | None:
    """Raises InvarError for a nonce that is not to be repeated."""
    if nonce is None or _NONCE.fullmatch(nonce):
        return nonce
    raise InvarError("this is no nonce", hint="1 to 128 letters, digits and ._~+/=-", exit_code=ExitCode.USAGE)


def lines_of(proof: Proof) -> list[str]:
    """The proof for a person to read."""
    lines = [
        f"booted        generation {proof.booted_generation}  {proof.booted_digest}",
        f"active        generation {proof.active_generation}  {proof.active_digest}",
        *(f"{layer.kind:<14}{layer.state}  {layer.root_hash}" for layer in proof.layers),
        f"kernel        {proof.kernel}",
        f"boot          {proof.boot_id}, {proof.uptime:.0f} s ago",
        f"instance      {proof.instance_id or 'not on EC2'}",
    ]
    lines += [f"check         {check.name}: {check.state} {check.message}".rstrip() for check in proof.checks]
    lines.append(f"failed units  {', '.join(proof.failed_units) or 'none'}")
    lines += [f"process       {told_process(one)}" for one in proof.processes or ()]
    lines += [f"file          {told_file(one)}" for one in proof.files or ()]
    if proof.refused:
        lines.append(f"refused       {proof.refused}")
    if proof.nonce:
        lines.append(f"nonce         {proof.nonce}")
    return lines


def told_process(one: ProcessProof) -> str:
    """What is not declared, in a line."""
    if not one.unit:
        return f"{one.kind}: {one.why}"
    pids = ", ".join(map(str, one.pids)) + (", ..." if one.count > len(one.pids) else "")
    what = f"{one.program} ({pids}) in {one.unit}" if one.count else one.unit
    return f"{one.kind}: {what}" + (f": {one.why}" if one.why else "")


def told_file(one: FileProof) -> str:
    """How a tree that is declared immutable stands, in a line."""
    than = "its source" if one.against == "source" else "what was recorded at first"
    said = {
        "kept": f"is {than}",
        "altered": f"is not {than}",
        "missing": "is missing",
        "new": "is not recorded yet",
        "unread": "cannot be compared",
        "covered": "is covered by another mount",
    }[one.state]
    more = one.message or ", ".join(one.changed)
    return f"{one.path} {said}" + (f": {more}" if more else "")


_FIELDS: dict[str, Any] = {
    "booted_digest": str,
    "active_digest": str,
    "booted_generation": int,
    "active_generation": int,
    "kernel": str,
    "boot_id": str,
    "uptime": (int, float),
    "instance_id": (str, type(None)),
    "refused": (str, type(None)),
    "nonce": (str, type(None)),
    "quote": (str, type(None)),
}


def _typed(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r} where {kind} belongs")
    return value


def _one_of(states: Any, value: Any) -> Any:
    if value not in get_args(states):
        raise ValueError(f"{value!r} is none of {', '.join(get_args(states))}")
    return value


def _each(read: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else tuple(read(one) for one in _typed(list, value))


def _process(data: Any) -> ProcessProof:
    return ProcessProof(
        _one_of(ProcessKind, data["kind"]),
        _typed(str, data["unit"]),
        _typed(str, data["program"]),
        tuple(_typed(int, pid) for pid in data["pids"]),
        _typed(int, data["count"]),
        _typed(str, data["why"]),
    )


def _file(data: Any) -> FileProof:
    return FileProof(
        _typed(str, data["path"]),
        _one_of(FileState, data["state"]),
        _one_of(Against, data["against"]),
        _typed(str, data["digest"]),
        _typed(str, data["reference"]),
        tuple(_typed(str, name) for name in data["changed"]),
        _typed(str, data["message"]),
    )
