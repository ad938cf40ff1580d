"""`invar generations`, `diff`, `delete-generations` and `gc` on an instance: arguments in, text or JSON out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invar.core.errors import ExitCode, InvarError
from invar.machine import active, generations, state
from invar.machine.arguments import parser_of, print_json, register
from invar.system.record import plain

if TYPE_CHECKING:
    from invar.machine.collection import Doomed


def list_generations(arguments: list[str]) -> int:
    """`invar generations`."""
    parser = parser_of("generations", "List this machine's generations: booted, active, and how they did.")
    options = parser.parse_args(arguments)
    register()
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
        return print_json(told)
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
    from invar.machine import differences  # mounts layers, which no other verb here does

    parser = parser_of(
        "diff",
        "Tell what differs between two generations: packages, kernel, its parameters, initrd, units, files of /etc.",
    )
    parser.add_argument("before", type=int, help="a generation")
    parser.add_argument("after", type=int, nargs="?", help="another one; without it, the active one")
    options = parser.parse_args(arguments)
    register()
    known = generations.read_all()
    after = active.active().active_generation if options.after is None else options.after
    with state.exclusively("invar diff", wait=True):
        found = differences.of_generations(
            generations.by_number(known, options.before), generations.by_number(known, after)
        )
    if options.json:
        return print_json(plain(found))
    print("\n".join(differences.lines(found)) or "no difference")
    return ExitCode.DONE


def delete(arguments: list[str]) -> int:
    """`invar delete-generations`."""
    from invar.machine import collection  # knows downloads, and so HTTP

    parser = parser_of(
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
    register()
    wanted = collection.Wanted(frozenset(options.numbers), options.keep)
    doomed = collection.delete(wanted, dry_run=not options.yes)
    return _tell_collected(doomed, as_json=options.json, done=options.yes)


def gc(arguments: list[str]) -> int:
    """`invar gc`."""
    from invar.machine import collection  # as above

    parser = parser_of("gc", "Delete layers that no generation uses, and what failed or interrupted switches left.")
    parser.add_argument("--yes", action="store_true", help="do it; without, it is only told what would be done")
    options = parser.parse_args(arguments)
    register()
    doomed = collection.collect(dry_run=not options.yes)
    return _tell_collected(doomed, as_json=options.json, done=options.yes)


def _tell_collected(doomed: Doomed, *, as_json: bool, done: bool) -> int:
    if as_json:
        return print_json({**plain(doomed), "deleted": done})
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
