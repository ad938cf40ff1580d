"""From a Python traceback to a located `NixError`: generated code carries Nix's lines and columns.

Generated code lets Python find some faults (a missing key, a subscript on what is no set): here they become Nix's
errors. A fault inside the evaluator's own Python functions stays what it is, so that bugs are not disguised.
"""

from __future__ import annotations

from itertools import islice

from invar.nix.errors import (
    Frame,
    NixError,
    NixMissingAttribute,
    NixStackOverflow,
    NixTypeError,
    NixUndefined,
    did_you_mean,
    nearest,
)
from invar.nix.features import missing_hint
from invar.nix.values import Pos, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import TypeAlias

    Step: TypeAlias = tuple[Pos | None, tuple[str, Pos | None] | None, TracebackType]

TRANSLATED = (NixError, KeyError, TypeError, UnboundLocalError, RecursionError)
"""What generated code may raise."""

FRAMES_KEPT = 200


def located(error: BaseException) -> BaseException:
    """`error` as a `NixError` with position and trace frames; other bugs come back unchanged.

    The traceback is used up: it is taken off the error, so that an outer call of this only adds what is outside.
    """
    steps = _generated_steps(error.__traceback__)
    if not isinstance(error, NixError):
        translated = _translated(error, steps)
        if translated is None:
            return error
        translated.frames, error = [], translated
    if steps and error.pos is None and not error.frames:
        error.pos = steps[0][0]
    for index, (_, label, _) in enumerate(steps):
        if label is not None and len(error.frames) < FRAMES_KEPT:
            text, pos = label
            if pos is None and index + 1 < len(steps):
                pos = steps[index + 1][0]
            frame = Frame(text, pos)
            if not error.frames or error.frames[-1] != frame:
                error.frames.append(frame)
    return error.with_traceback(None)


def _generated_steps(traceback: TracebackType | None) -> list[Step]:
    """Generated code on the way to the fault, innermost first."""
    entries: list[TracebackType] = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    if len(entries) > 2 * FRAMES_KEPT:
        entries = entries[:FRAMES_KEPT] + entries[-FRAMES_KEPT:]
    steps: list[Step] = []
    for entry in reversed(entries):
        file = entry.tb_frame.f_globals.get("__nix_file__")
        if file is not None:
            code = entry.tb_frame.f_code
            label = entry.tb_frame.f_globals["__nix_labels__"].get(code.co_name)
            steps.append((_position(code, entry.tb_lasti, file), label, entry))
    return steps


def _position(code: CodeType, instruction: int, file: str) -> Pos | None:
    line, _, column, _ = next(islice(code.co_positions(), instruction // 2, None), (None, None, None, None))
    return Pos(file, line, (column or 0) + 1) if line is not None else None


def _translated(error: BaseException, steps: list[Step]) -> NixError | None:
    if isinstance(error, RecursionError):
        return NixStackOverflow("stack overflow; max-call-depth exceeded", hint="The recursion may be infinite.")
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None or not steps or steps[0][2] is not innermost:
        return None
    variables = innermost.tb_frame.f_locals
    subject = variables.get("_s")
    if isinstance(error, KeyError):
        name = str(error.args[0])
        known = subject if isinstance(subject, dict) else {}
        hint = missing_hint(name) if known.get("builtins") is known else None
        hint = hint or did_you_mean(nearest(name, map(str, known)))
        return NixMissingAttribute(f"attribute '{name}' missing", hint=hint)
    if isinstance(error, UnboundLocalError):
        return NixUndefined("infinite recursion encountered")
    return NixTypeError(f"value is {type_name(subject)} while a set was expected")
