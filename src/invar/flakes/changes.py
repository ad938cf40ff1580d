"""What is different between two states of a flake.lock, and inputs as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from invar.flakes.lockfile import Edge, Follows, Inputs, Locked, Provided
from invar.nix.input_urls import format_input


@dataclass(frozen=True, slots=True)
class InputChange:
    """An input, by its way from the root ("a/b"): what it was and is, None where it was or is not there."""

    way: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"added    {self.way}: {self.new}"
        if self.new is None:
            return f"removed  {self.way}: {self.old}"
        return f"updated  {self.way}:\n  {self.old}\n→ {self.new}"


def input_changes(old: Inputs, new: Inputs) -> list[InputChange]:
    """Inputs that were added, removed, or are locked to something else, by way."""
    before, after = dict(_flat(old, "", set())), dict(_flat(new, "", set()))
    return [
        InputChange(way, before.get(way), after.get(way))
        for way in sorted({*before, *after})
        if before.get(way) != after.get(way)
    ]


def described(edge: Edge) -> str:
    """An input on one line."""
    if isinstance(edge, Follows):
        return f"follows {'/'.join(edge.path) or 'the flake itself'}"
    if isinstance(edge, Provided):
        return f"provided by the native engine ({edge.name})"
    text = format_input({**edge.locked, **({"dir": edge.locked["dir"]} if "dir" in edge.locked else {})})
    seconds = edge.locked.get("lastModified")
    date = f" ({datetime.fromtimestamp(seconds, UTC):%Y-%m-%d})" if isinstance(seconds, int) else ""
    return text + date


def input_lines(inputs: Inputs, prefix: str = "", seen: frozenset[int] = frozenset()) -> Iterator[str]:
    """The tree of inputs for people."""
    names = sorted(inputs)
    for name in names:
        last = name == names[-1]
        edge = inputs[name]
        yield f"{prefix}{'└───' if last else '├───'}{name}: {described(edge)}"
        if not isinstance(edge, Follows) and id(edge) not in seen:
            below = prefix + ("    " if last else "│   ")
            yield from input_lines(edge.inputs, below, seen | {id(edge)})


def _flat(inputs: Inputs, prefix: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    for name, edge in inputs.items():
        way = f"{prefix}{name}"
        if isinstance(edge, Provided):
            edge_or_none = edge.kept
            if edge_or_none is not None:
                yield way, described(edge_or_none)
            continue
        yield way, described(edge)
        if isinstance(edge, Locked) and id(edge) not in seen:
            yield from _flat(edge.inputs, f"{way}/", seen | {id(edge)})
