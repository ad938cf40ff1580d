"""What can be wrong with options, as errors that name every definition and the declaration."""

from __future__ import annotations

from collections.abc import Sequence

from invar.nix.errors import NixCaught
from invar.nix.values import Pos


class OptionError(NixCaught):
    """A fault in options or definitions; like `throw`, `builtins.tryEval` catches it.

    `places` are (module file, position) pairs of what is at fault; the first known position becomes the error's own.
    `loc` is the option's path, `declared` says where it is declared.
    """

    def __init__(
        self,
        message: str,
        *,
        places: Sequence[tuple[str, Pos | None]] = (),
        hint: str | None = None,
        loc: Sequence[str] = (),
        declared: str | None = None,
    ) -> None:
        position = next((position for _, position in places if position is not None), None)
        super().__init__(message, position, hint)
        self.loc = tuple(loc)
        self._declared = False
        self.declare(declared)

    def declare(self, places: str | None) -> None:
        """Say where the option is declared; only the innermost option that the error passes does."""
        if places is not None and not self._declared:
            self.message += f"\nThe option is declared in {places}."
            self.args = (self.message,)
            self._declared = True
