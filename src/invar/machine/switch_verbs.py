"""The verbs of `invar` on an instance that change its system: arguments in, text or JSON out."""

from __future__ import annotations

import sys
from pathlib import Path

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.machine import active, generations, proof, state
from invar.machine.arguments import parser_of, print_json, register
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
    parser = parser_of("rollback", "Make an earlier generation this machine's system again: now, and at every boot.")
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


def _switch(mode: Mode, description: str, arguments: list[str]) -> int:
    parser = parser_of(mode, description)
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


def _previous() -> int:
    register()
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
        print_json({**plain(done), "mode": mode, "seconds": report.seconds})
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
