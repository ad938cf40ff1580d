"""The command line: one file a verb group, no logic."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command with the process's arguments, and exit.

    A plain `invar eval` of an expression is let through without the rest of the command line, whose import would take longer than
    the evaluation.
    """
    from invar.cli.app import invar

    invar(args=sys.argv[1:], prog_name="invar")
