"""The health of a boot: its checks decide whether its entry is good, or the last good one is booted again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Event, Note, Report, Warned
from invar.machine import active, boot_entries, boot_files, deadline, generations, immutable, state
from invar.machine.generations import Generation
from invar.machine.settings import read_settings

CONSOLE = Path("/dev/console")


def main(arguments: list[str]) -> int:
    """`invar boot-health`: run once a boot by invar-boot-health.service."""
    del arguments
    deadline.call_off()
    report = Report(_tell)
    settings = read_settings()
    with state.exclusively("boot health", wait=True):
        booted = active.register_started()
        trial = settle_entries(booted, report)
    failures = failed_checks(settings.boot_deadline, report)
    with state.exclusively("boot health", wait=True):
        if not failures:
            mark_good(booted)
            record_state(report)
            report.note(f"generation {booted.number} ({booted.digest[:12]}) is good")
            return ExitCode.DONE
        why = "; ".join(failures)
        if active.active().active_generation != booted.number:
            report.warn(f"another generation was switched to while generation {booted.number} was judged: {why}")
            return ExitCode.DONE
        say(f"generation {booted.number} failed its checks: {why}")
        if not trial:
            return ExitCode.FAILED
        generations.mark(booted, "failed")
        give_up(booted.number)
        state.refuse(f"generation {booted.number} failed its checks when it was booted: {why}")
    say("going back to the last good generation")
    subprocess.run(["systemctl", "reboot"], check=False)
    return ExitCode.FAILED


def failed_checks(seconds: float, report: Report) -> list[str]:
    """What does not hold within `seconds`, by the booted system's own checks."""
    from invar.machine.checks import run_checks

    try:
        checks = state.read_record(state.CONFIG_ROOT / "etc/invar/image.json").system.checks
    except InvarError as error:
        return [f"its checks are not to be found: {error.what}"]
    proofs = run_checks(checks, time.monotonic() + seconds, report)
    return [f"{proof.name}: {proof.message}" for proof in proofs if proof.state != "passed"]


def settle_entries(booted: Generation, report: Report) -> bool:
    """Take note of generations whose tries were used up before this boot. Whether the booted one is on trial itself."""
    trial = False
    with boot_entries.mounted_esp() as esp:
        if esp is None:
            return False
        for path in boot_entries.leftovers(esp):
            path.unlink(missing_ok=True)
        if altered := boot_files.look_once(esp):
            say(altered)
        known = {one.number: one for one in generations.read_all()}
        for entry in boot_entries.read_entries(esp):
            found = known.get(entry.number)
            if entry.number == booted.number:
                trial = entry.on_trial
            elif found is not None and entry.left == 0 and entry.done and found.state != "failed":
                generations.mark(found, "failed")
                told = (
                    f"generation {entry.number} did not come up in {entry.done} tries: "
                    f"generation {booted.number} was booted"
                )
                state.refuse(told)
                say(told)
    report.note(f"booted generation {booted.number}" + (", on trial" if trial else ""))
    return trial


def mark_good(booted: Generation) -> None:
    """The booted generation stays: its entry is no longer counted."""
    with boot_entries.mounted_esp() as esp:
        entry = boot_entries.find_entry(esp, booted.number) if esp else None
        if entry is not None and entry.on_trial:
            boot_entries.rename(entry, left=None)
    generations.mark(booted, "good")


def record_state(report: Report) -> None:
    """What is declared immutable and was never recorded is now as it is to stay. A good boot is one without it too."""
    try:
        immutable.record_new()
    except InvarError as error:
        report.warn(f"immutable state is not recorded: {error.what}")


def give_up(number: int) -> None:
    """Let the boot loader take another entry: this one has no tries left."""
    with boot_entries.mounted_esp() as esp:
        entry = boot_entries.find_entry(esp, number) if esp else None
        if entry is not None:
            boot_entries.rename(entry, left=0, done=max(entry.done, 1))


def say(text: str) -> None:
    """Tell the console and the journal."""
    print(text, file=sys.stderr)
    try:
        with CONSOLE.open("w") as console:
            console.write(f"\ninvar: {text}\n")
    except OSError as error:
        print(f"the console cannot be written: {error}", file=sys.stderr)


def _tell(event: Event) -> None:
    if isinstance(event, (Note, Warned)):
        print(event.text, file=sys.stderr)
