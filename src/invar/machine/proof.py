"""`invar proof`: gathers what this machine runs, by the kernel's and systemd's own word, and tells it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.machine import active, checks, device_mapper, immutable, processes, state
from invar.machine.init import FOUND, say_on_console
from invar.machine.sealed import Sealed
from invar.system.proof import CONSOLE_PREFIX, CheckProof, FileProof, LayerProof, Proof, checked_nonce, lines_of

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UPTIME = Path("/proc/uptime")
_MAX_LINE = 512


def main(arguments: list[str]) -> int:
    """The verb; the exit code."""
    parser = argparse.ArgumentParser(
        prog="invar proof",
        description="Tell what this machine runs: system digests, the layers as dm-verity has them, generation, checks "
        "(each looked at once, now), failed units, processes that are not declared, and immutable files.",
        epilog="example: invar proof --json --nonce 7f3a",
    )
    parser.add_argument("--nonce", help="text that the answer repeats: 1 to 128 letters, digits and ._~+/=-")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--announce", action="store_true", help="print it on the console of the machine")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        return _serve()
    if options.announce:
        return _announce_again()
    proof = gather(checked_nonce(options.nonce))
    print(proof.to_json() if options.json else "\n".join(lines_of(proof)))
    return ExitCode.DONE


def gather(nonce: str | None = None, results: Sequence[CheckProof] | None = None) -> Proof:
    """What this machine runs. `results` are those of checks that have just been run, else each is looked at once.

    Raises InvarError for anyone but root, and on a machine that was not booted from an image of Invar.
    """
    if os.geteuid() != 0:
        raise InvarError("proof is root's to gather", hint="run `sudo invar proof`")
    now = active.active()
    audited = immutable.declared()
    outcomes = checks.run_checks(checks.declared(), 0.0, Report()) if results is None else results
    return Proof(
        booted_digest=now.booted_digest,
        active_digest=now.active_digest,
        booted_generation=now.booted_generation,
        active_generation=now.active_generation,
        kernel=os.uname().release,
        boot_id=_BOOT_ID.read_text().strip(),
        uptime=float(_UPTIME.read_text().split()[0]),
        instance_id=_instance_id(),
        layers=tuple(_layer(kind, device) for kind, device in sorted(now.layers.items())),
        checks=tuple(outcomes),
        failed_units=checks.failed_units(),
        refused=state.refused(),
        nonce=nonce,
        time=time.time(),
        processes=processes.undeclared_processes(audited.programs, audited.units),
        files=_files(),
    )


def announce(proof: Proof) -> None:
    """Print the proof on the serial console, where EC2 keeps it for whoever reads the console output."""
    say_on_console(CONSOLE_PREFIX + proof.to_json())


def _announce_again() -> int:
    """What the timer does. Immutable state that came to be since the boot is recorded, if all is well."""
    proof = gather()
    well = not proof.failed_units and all(check.state == "passed" for check in proof.checks)
    if well and any(one.state == "new" for one in proof.files or ()):
        immutable.record_new()
        proof = replace(proof, files=_files())
    announce(proof)
    return ExitCode.DONE


def _files() -> tuple[FileProof, ...]:
    return (*immutable.compare(immutable.declared().immutable), *Sealed().covered())


def _serve() -> int:
    """One question on standard input, a socket: a line with the nonce, which may be empty. JSON is the answer."""
    nonce = sys.stdin.readline(_MAX_LINE).strip()
    print(gather(checked_nonce(nonce or None)).to_json(), flush=True)
    return ExitCode.DONE


def _layer(kind: str, device: str) -> LayerProof:
    root_hash, verity = device_mapper.verity_state(device)
    return LayerProof(kind, root_hash, verity)


def _instance_id() -> str | None:
    try:
        return (FOUND / "instance-id").read_text().strip() or None
    except FileNotFoundError:
        return None
