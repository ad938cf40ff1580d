"""The one kind of error that reaches a user: what, where, why and a hint."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line, documented in docs/cli.md."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DIFFERS = 3


class InvarError(Exception):
    """A fault told to the user.

    `what` is one sentence. `where` is `file:line[:column]`, a machine, or an AWS call. `why` is the cause, possibly
    several lines (a tool's last output). `hint` is the way out.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        why: str | None = None,
        hint: str | None = None,
        exit_code: ExitCode = ExitCode.FAILED,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        lines = [f"error: {self.what}"]
        if self.where:
            lines.append(f"  at {self.where}")
        if self.why:
            lines.extend("  " + line for line in self.why.splitlines())
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)
