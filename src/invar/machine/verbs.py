"""The verbs of `invar` on an instance: arguments in, text or JSON out; the work is done elsewhere."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.machine import active, collection, differences, generations, proof, state
from invar.machine.switch import Mode, Switched, restart, switch_to_digest, switch_to_generation
from invar.machine.switch import switch as switch_to
from invar.machine.terminal import terminal_report
from invar.system.record import plain

_CACHE_HELP = "where it is, asked before the caches that the image names; may be repeated"
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
    report = terminal_report(quiet=options.json)
    done = switch_to_generation(number, mode=mode, report=report)
    return _tell(done, mode, report, as_json=options.json)


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
    parser = _parser(
        "diff",
        "Tell what differs between two generations: packages, kernel, its parameters, initrd, units, files of /etc.",
    )
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


_EXAMPLES = {
    "switch": (
        "invar switch web.nix               a file beside the image's own: imports = [ ./configuration.nix ];",
        "invar switch                       the configuration that is in the image",
        "invar switch --generation DIGEST   a published system, from a build cache",
    ),
    "test": ("invar test web.nix                 gone at the next boot",),
    "boot": ("invar boot web.nix && systemctl reboot",),
    "dry-run": ("invar dry-run web.nix", "invar dry-run --generation DIGEST  how the machine would get there"),
    "rollback": ("invar rollback", "invar rollback 3 --boot            from the next boot on"),
    "generations": ("invar generations --json",),
    "diff": ("invar diff 1                       against what is active", "invar diff 1 2"),
    "delete-generations": ("invar delete-generations --keep 3 --yes", "invar delete-generations 4 5"),
    "gc": ("invar gc                           tell", "invar gc --yes                     do"),
}


def _parser(verb: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"invar {verb}",
        description=description,
        epilog="\n".join(("examples:", *(f"  {line}" for line in _EXAMPLES[verb]))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _switch(mode: Mode, description: str, arguments: list[str]) -> int:
    parser = _parser(mode, description)
    parser.add_argument("file", nargs="?", type=Path, help=_FILE_HELP)
    parser.add_argument("--generation", metavar="DIGEST", help="a published system instead, from a build cache")
    parser.add_argument("--cache", metavar="URL", action="append", default=[], help=_CACHE_HELP)
    options = parser.parse_args(arguments)
    report = terminal_report(quiet=options.json)
    if options.generation is not None:
        if options.file is not None:
            raise InvarError("give either a configuration or --generation", exit_code=ExitCode.USAGE)
        done = switch_to_digest(options.generation, options.cache, mode=mode, report=report)
    elif options.cache:
        raise InvarError("--cache goes with --generation", exit_code=ExitCode.USAGE)
    else:
        path = options.file or state.BAKED / state.read_record().entry
        done = switch_to(path.absolute(), mode=mode, report=report)
    return _tell(done, mode, report, as_json=options.json)


def _register() -> None:
    if not generations.read_all():
        with state.exclusively("invar", wait=True):
            active.register_started()


def _previous() -> int:
    _register()
    now = active.active()
    known = generations.read_all()
    if now.active_generation == active.UNNUMBERED:
        return now.started_generation
    found = generations.previous(known, now.active_generation)
    if found is None:
        raise InvarError("there is no good generation before the active one", hint="`invar generations` lists them all")
    return found.number


def _tell(done: Switched, mode: Mode, report: Report, *, as_json: bool) -> int:
    if done.active:
        proof.announce(proof.gather())
    if as_json:
        _print_json({**plain(done), "mode": mode, "seconds": report.seconds})
    else:
        _print_switched(done, mode)
    sys.stdout.flush()
    if done.reboot and mode == "switch":
        restart(done, report)
    return ExitCode.DONE


def _print_switched(done: Switched, mode: Mode) -> None:
    units = done.changes
    for title, names in (
        ("stop", units.stop),
        ("reload", units.reload),
        ("restart", units.restart),
        ("start", units.start),
        ("stopped along, started again", units.stopped_with),
        ("changed, but left as they are", units.skipped),
    ):
        if names:
            print(f"{title}: {' '.join(names)}")
    if mode == "dry-run":
        if done.way != "live":
            print(f"it takes a {done.way}")
            return
        files = " ".join(done.files)
        print(f"{len(done.files)} files of /etc would change: {files}" if files else "no file changes")
        return
    name = f"generation {done.generation}" if done.generation else "the system"
    restarting = done.reboot and mode == "switch"
    when = "is active" if done.active else f"is started now, by a {done.way}" if restarting else "is the next boot's"
    until = " until the next boot" if mode == "test" else ""
    print(f"{name} ({done.digest[:12]}) {when}{until}")


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
