"""The command `invar` on an instance: a table of verbs, each read in only when it is called."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass

from invar.core.errors import ExitCode, InvarError

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: `target` is "module:function", called with the arguments behind the verb; it returns the exit code."""

    summary: str
    target: str
    hidden: bool = False


VERBS: dict[str, Verb] = {
    "switch": Verb("make a configuration this machine's system, now and at boot", "invar.machine.switch_verbs:switch"),
    "test": Verb("the same until the next boot only", "invar.machine.switch_verbs:test"),
    "boot": Verb("the same from the next boot on", "invar.machine.switch_verbs:boot"),
    "dry-run": Verb("tell what a switch would do", "invar.machine.switch_verbs:dry_run"),
    "rollback": Verb("back to an earlier generation", "invar.machine.switch_verbs:rollback"),
    "generations": Verb("list this machine's generations", "invar.machine.generation_verbs:list_generations"),
    "diff": Verb("what differs between two generations", "invar.machine.generation_verbs:diff"),
    "delete-generations": Verb("delete generations that are not in use", "invar.machine.generation_verbs:delete"),
    "gc": Verb("delete layers that no generation uses", "invar.machine.generation_verbs:gc"),
    "proof": Verb("tell what this machine runs", "invar.machine.proof:main"),
    "init": Verb("take over EC2's metadata, apply user data (run by systemd)", "invar.machine.init:main", hidden=True),
    "secrets": Verb("fetch the declared secrets (run by systemd)", "invar.machine.secrets:main", hidden=True),
    "proof-http": Verb("answer one request (run by systemd)", "invar.machine.proof_http:main", hidden=True),
    "immutable": Verb("put immutable state in its place (run by systemd)", "invar.machine.immutable:main", hidden=True),
    "deadline": Verb("reset a soft-reboot that hangs (run by systemd)", "invar.machine.deadline:main", hidden=True),
    "boot-health": Verb("judge this boot (run by systemd)", "invar.machine.health:main", hidden=True),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help", "help"):
        print(_usage())
        return ExitCode.DONE if given else ExitCode.USAGE
    verb = VERBS.get(given[0])
    try:
        if verb is None:
            raise InvarError(
                f"there is no verb {given[0]!r}", hint="`invar --help` lists them", exit_code=ExitCode.USAGE
            )
        module, _, function = verb.target.partition(":")
        return int(getattr(importlib.import_module(module), function)(given[1:]))
    except InvarError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _usage() -> str:
    shown = {name: verb for name, verb in VERBS.items() if not verb.hidden}
    width = max(map(len, shown)) + 2
    lines = ["usage: invar VERB [ARGUMENT...]", "", "Invar on this machine.", ""]
    lines += [f"  {name:<{width}}{verb.summary}" for name, verb in shown.items()]
    return "\n".join([*lines, "", "`invar VERB --help` tells more."])


if __name__ == "__main__":
    sys.exit(main())
