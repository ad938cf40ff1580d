"""The command line: one file a verb group, no logic."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command with the process's arguments, and exit."""
    from invar.cli.app import invar

    try:
        invar(args=sys.argv[1:], prog_name="invar")
    except SystemExit as ended:
        stack = sys.modules.get("invar.nix.stack")  # where it is not loaded, nothing was evaluated
        if stack is None or not stack.ends_at_once() or not isinstance(ended.code, int | None):
            raise
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # who reads has gone
            os._exit(1)
        os._exit(ended.code or 0)  # freeing what was evaluated, object by object, takes a fifth of the whole time
