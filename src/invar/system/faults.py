"""Faults of the language as Invar's errors."""

from __future__ import annotations

from collections.abc import Mapping

from invar.core.errors import InvarError
from invar.nix import NixError, render
from invar.nixos.places import LIBRARY


def told(
    error: NixError,
    sources: Mapping[str, str] | None = None,
    *,
    show_trace: bool = False,
    library: tuple[str, ...] = (),
) -> InvarError:
    """A fault of the language as Invar's error: its first line is what, the rest (place, source, trace) why.

    `sources` has the texts of what is no file. Without `show_trace` frames inside the module library (which a flake
    reads below other paths, `library`) are left out: they tell how Invar works, not what to change.
    """
    if not show_trace:
        own = tuple(f"{place}/" for place in (LIBRARY, *library))
        error.frames = [frame for frame in error.frames if frame.pos and not frame.pos.file.startswith(own)]
    text = render(error, sources, show_trace=show_trace).removeprefix("error: ")
    what, _, rest = text.partition("\n")
    return InvarError(what, why=rest.strip("\n") or None)
