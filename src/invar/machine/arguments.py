"""What the verbs of `invar` on an instance share: how they are asked, and how they print."""

from __future__ import annotations

import argparse
import json
from typing import Any

from invar.core.errors import ExitCode
from invar.machine import active, generations, state

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


def parser_of(verb: str, description: str) -> argparse.ArgumentParser:
    """The parser of a verb, with --json and its examples."""
    parser = argparse.ArgumentParser(
        prog=f"invar {verb}",
        description=description,
        epilog="\n".join(("examples:", *(f"  {line}" for line in _EXAMPLES[verb]))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def register() -> None:
    """Know the generation that was started, where nothing has looked at it yet."""
    if not generations.read_all():
        with state.exclusively("invar", wait=True):
            active.register_started()


def print_json(value: Any) -> int:
    """Print it; the exit code."""
    print(json.dumps(value, indent=1, sort_keys=True))
    return ExitCode.DONE
