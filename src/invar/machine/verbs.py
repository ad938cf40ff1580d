"""The verbs of `invar` on an instance: arguments in, text or JSON out; the work is done elsewhere."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from invar.core.errors import ExitCode, InvarError
from invar.machine import active, collection, differences, generations, proof, state
from invar.machine.switch import Mode, Switched, reboot, switch_to_generation
from invar.machine.switch import switch as switch_to
from invar.machine.terminal import terminal_report
from invar.system.record import plain

_FILE_HELP = "a .nix file, or a directory with a configuration.nix; without it, the configuration in the image"


def switch(arguments: list[str]) -> int:
    """`invar switch`."""
    return _switch("switch", "Make a configuration this machine's system: now, and at every boot.", arguments)


def test(arguments: list[str]) -> int:
    """`invar test`."""
    return _switch("test", "Make a configuration this machine's system until the next boot.", arguments)


def boot(arguments: list[str]) -> int:
    """`invar boot`."""
    return _switch("boot", "Make a configuration this machine's system from the next boot on.", arguments)


def dry_run(arguments: list[str]) -> int:
    """`invar dry-run`."""
    return _switch("dry-run", "Tell what `invar switch` would do, and do nothing.", arguments)


def rollback(arguments: list[str]) -> int:
    """`invar rollback`."""
    parser = _parser("rollback", "Make an earlier generation this machine's system again: now, and at every boot.")
    parser.add_argument("number", nargs="?", type=int, help="the generation; without it, the last good one before")
    parser.add_argument("--boot", action="store_true", help="from the next boot on only")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    options = parser.parse_args(arguments)
    number = options.number
    if number is None:
        number = _previous()
    mode: Mode = "dry-run" if options.dry_run else "boot" if options.boot else "switch"
    done = switch_to_generation(number, mode=mode, report=terminal_report(quiet=options.json))
    return _tell(done, mode, as_json=options.json)


def list_generations(arguments: list[str]) -> int:
    """`invar generations`."""
    parser = _parser("generations", "List this machine's generations: booted, active, and how they did.")
    options = parser.parse_args(arguments)
    _register()
    now = active.active()
    known = generations.read_all()
    if options.json:
        told = [
            {
                **plain(one),
                "booted": one.number == now.booted_generation,
                "active": one.number == now.active_generation,
            }
            for one in known
        ]
        return _print_json(told)
    for one in known:
        marks = [
            mark
            for mark, holds in (
                ("booted", one.number == now.booted_generation),
                ("active", one.number == now.active_generation),
                (one.state, one.state != "good"),
                ("no boot entry", not one.bootable),
            )
            if holds
        ]
        made = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one.created))
        said = ", ".join(marks)
        print(f"{one.number:>4}  {made}  {one.digest[:12]}  linux {one.kernel_version}  {one.origin}  {said}".rstrip())
    if now.active_generation == active.UNNUMBERED:
        print(f"   -  until the next boot  {now.active_digest[:12]}  active")
    return ExitCode.DONE


def diff(arguments: list[str]) -> int:
    """`invar diff`."""
    parser = _parser("diff", "Tell what differs between two generations: packages, files of /etc, units, accounts.")
    parser.add_argument("before", type=int, help="a generation")
    parser.add_argument("after", type=int, nargs="?", help="another one; without it, the active one")
    options = parser.parse_args(arguments)
    _register()
    known = generations.read_all()
    after = active.active().active_generation if options.after is None else options.after
    with state.exclusively("invar diff", wait=True):
        found = differences.of_generations(
            generations.by_number(known, options.before), generations.by_number(known, after)
        )
    if options.json:
        return _print_json(plain(found))
    print("\n".join(differences.lines(found)) or "no difference")
    return ExitCode.DONE


def delete_generations(arguments: list[str]) -> int:
    """`invar delete-generations`."""
    parser = _parser(
        "delete-generations",
        "Delete generations. The booted one, the active one and the newest good one are never deleted.",
    )
    parser.add_argument("numbers", nargs="*", type=int, help="which ones")
    parser.add_argument("--keep", type=int, metavar="N", help="all but the newest N")
    parser.add_argument("--yes", action="store_true", help="do it; without, it is only told what would be done")
    options = parser.parse_args(arguments)
    if options.keep is not None and options.keep < 1:
        raise InvarError("--keep takes a number from 1 on", exit_code=ExitCode.USAGE)
    if not options.numbers and options.keep is None:
        raise InvarError(
            "say which generations",
            hint="numbers, as `invar generations` lists them, or --keep N",
            exit_code=ExitCode.USAGE,
        )
    _register()
    wanted = collection.Wanted(frozenset(options.numbers), options.keep)
    doomed = collection.delete(wanted, dry_run=not options.yes)
    return _tell_collected(doomed, as_json=options.json, done=options.yes)


def gc(arguments: list[str]) -> int:
    """`invar gc`."""
    parser = _parser("gc", "Delete layers that no generation uses, and what failed or interrupted switches left.")
    parser.add_argument("--yes", action="store_true", help="do it; without, it is only told what would be done")
    options = parser.parse_args(arguments)
    _register()
    doomed = collection.collect(dry_run=not options.yes)
    return _tell_collected(doomed, as_json=options.json, done=options.yes)


def _parser(verb: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"invar {verb}", description=description)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _switch(mode: Mode, description: str, arguments: list[str]) -> int:
    parser = _parser(mode, description)
    parser.add_argument("file", nargs="?", type=Path, help=_FILE_HELP)
    options = parser.parse_args(arguments)
    path = options.file
    if path is None:
        path = state.BAKED / state.read_record().entry
    report = terminal_report(quiet=options.json)
    done = switch_to(path.absolute(), mode=mode, report=report)
    return _tell(replace(done), mode, as_json=options.json, seconds=report.seconds)


def _register() -> None:
    if not generations.read_all():
        with state.exclusively("invar", wait=True):
            active.register_booted()


def _previous() -> int:
    _register()
    now = active.active()
    known = generations.read_all()
    if now.active_generation == active.UNNUMBERED:
        return now.booted_generation
    found = generations.previous(known, now.active_generation)
    if found is None:
        raise InvarError("there is no good generation before the active one", hint="`invar generations` lists them all")
    return found.number


def _tell(done: Switched, mode: Mode, *, as_json: bool, seconds: dict[str, float] | None = None) -> int:
    if done.active:
        proof.announce(proof.gather())
    if as_json:
        return _print_json({**plain(done), "mode": mode, "seconds": seconds or {}})
    units = done.changes
    for title, names in (
        ("stop", units.stop),
        ("reload", units.reload),
        ("restart", units.restart),
        ("start", units.start),
        ("changed, but left as they are", units.skipped),
    ):
        if names:
            print(f"{title}: {' '.join(names)}")
    if mode == "dry-run":
        print(
            f"{len(done.files)} files of /etc would change: {' '.join(done.files)}" if done.files else "no file changes"
        )
        return ExitCode.DONE
    name = f"generation {done.generation}" if done.generation else "the system"
    when = "is active" if done.active else "is taken at the next boot"
    until = " until the next boot" if mode == "test" else ""
    print(f"{name} ({done.digest[:12]}) {when}{until}")
    if done.reboot and mode == "switch":
        print("restarting the machine")
        reboot()
    return ExitCode.DONE


def _tell_collected(doomed: collection.Doomed, *, as_json: bool, done: bool) -> int:
    if as_json:
        return _print_json({**plain(doomed), "deleted": done})
    verb = "deleted" if done else "would delete"
    for number in doomed.generations:
        print(f"{verb} generation {number}")
    for name in doomed.layers:
        print(f"{verb} layer {name}")
    for name in doomed.leftovers:
        print(f"{verb} {name}")
    if not (doomed.generations or doomed.layers or doomed.leftovers):
        print("nothing to delete")
    elif not done:
        print("nothing was deleted: add --yes to do it")
    return ExitCode.DONE


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=1, sort_keys=True))
    return ExitCode.DONE
