"""The command line: one file a verb group, no logic."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command with the process's arguments, and exit."""
    from invar.cli.app import invar

    invar(args=sys.argv[1:], prog_name="invar")
