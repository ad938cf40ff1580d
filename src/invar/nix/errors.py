"""Evaluation errors with positions, trace frames and their rendering with source lines and a caret."""

from __future__ import annotations

from invar.nix.values import Pos

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Frame:
    """One line of a trace: what was being done, and where."""

    __slots__ = ("pos", "text")

    def __init__(self, text: str, pos: Pos | None) -> None:
        self.text = text
        self.pos = pos

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self.text == other.text and self.pos == other.pos

    def __hash__(self) -> int:
        return hash((self.text, self.pos))

    def __repr__(self) -> str:
        return f"Frame({self.text!r}, {self.pos!r})"


class NixError(Exception):
    """A fault in Nix code, in Nix's words. `frames` go from the fault outwards."""

    def __init__(
        self,
        message: str,
        pos: Pos | None = None,
        hint: str | None = None,
        frames: Iterable[Frame | tuple[str, Pos | None]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.pos = pos
        self.hint = hint
        self.frames: list[Frame] = [frame if isinstance(frame, Frame) else Frame(*frame) for frame in frames]

    def __str__(self) -> str:
        return self.message


class NixSyntaxError(NixError):
    """The text is not Nix."""


class NixEvalError(NixError):
    """Evaluation failed for a reason that has no class of its own."""


class NixTypeError(NixEvalError):
    """A value of another type was expected."""


class NixUndefined(NixEvalError):
    """A variable that no scope defines."""


class NixMissingAttribute(NixEvalError):
    """An attribute that the set does not have."""


class NixInfiniteRecursion(NixEvalError):
    """A value that needs itself."""


class NixStackOverflow(NixEvalError):
    """Calls nested deeper than the limit."""


class NixRestricted(NixEvalError):
    """Pure evaluation refuses to read this."""


class NixCaught(NixEvalError):
    """The kind that `builtins.tryEval` catches."""


class NixThrow(NixCaught):
    """`throw`."""


class NixAssertion(NixCaught):
    """A false `assert`."""


class NixAbort(NixEvalError):
    """`abort`, which nothing catches."""


def add_context(error: NixError, text: str, pos: Pos | None = None) -> NixError:
    """Append an outer trace frame to `error` and return it, for `raise add_context(...)` or a bare `raise` after."""
    error.frames.append(Frame(text, pos))
    return error


def nearest(name: str, candidates: Iterable[str], *, count: int = 3) -> list[str]:
    """Names that the user may have meant, best first; empty when nothing is near."""
    import difflib  # only errors need it

    return difflib.get_close_matches(name, list(candidates), n=count, cutoff=0.6)


def did_you_mean(names: list[str]) -> str | None:
    """`names` as Nix's suggestion, or None when there are none."""
    if not names:
        return None
    if len(names) == 1:
        return f"Did you mean {names[0]}?"
    return f"Did you mean one of {', '.join(names[:-1])} or {names[-1]}?"


def render(error: NixError, sources: Mapping[str, str] | None = None, *, show_trace: bool = False) -> str:
    """`error: ...` with position, source lines, caret, hint and trace, without colours.

    `sources` maps file names to texts, for those that are not files. Without `show_trace` the trace is cut to the
    frames nearest to the fault.
    """
    known = sources or {}
    lines = [f"error: {error.message}"]
    if error.pos is not None:
        lines += ["", *_excerpt(error.pos, known)]
    if error.hint:
        lines += ["", f"       {error.hint}"]
    shown = error.frames if show_trace else error.frames[:4]
    for frame in shown:
        lines += ["", f"       … {frame.text}"]
        if frame.pos is not None:
            lines += ["", *_excerpt(frame.pos, known)]
    if len(shown) < len(error.frames):
        lines += ["", f"       ({len(error.frames) - len(shown)} more frames; use '--show-trace' to see them)"]
    return "\n".join(lines)


def _excerpt(pos: Pos, sources: Mapping[str, str]) -> list[str]:
    place = [f"       at {pos}:"]
    text = sources.get(pos.file)
    if text is None:
        try:
            with open(pos.file, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                text = file.read()
        except OSError:
            return place
    lines = text.split("\n")
    if not 1 <= pos.line <= len(lines):
        return place
    place.append("")
    for number in range(pos.line - 1, pos.line + 2):
        if 1 <= number <= len(lines) and (number <= pos.line or lines[number - 1].strip()):
            place.append(f"        {number:>5}| {lines[number - 1].rstrip()}".rstrip())
        if number == pos.line:
            at = lines[number - 1].encode("utf-8", "replace")[: pos.column - 1].decode("utf-8", "ignore")
            place.append("             | " + "".join("\t" if c == "\t" else " " for c in at) + "^")
    return place
