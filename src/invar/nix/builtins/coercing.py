"""Builtins that coerce to a string as interpolation does: a path given to one of them goes into the store."""

from __future__ import annotations

from invar.nix.builtins.registry import Registry
from invar.nix.coerce import CopyPath, coerce_to_string, concat_strings
from invar.nix.errors import NixAbort, NixError, NixThrow, add_context
from invar.nix.runtime import evaluate, expect_int, expect_list, expect_string, whnf
from invar.nix.traces import TRANSLATED, located
from invar.nix.values import NixString, Thunk, Value, context_of, with_context


def coercing_builtins(copy_path: CopyPath) -> Registry:
    """All of them; `copy_path` puts a path into the store."""
    bound = Registry()

    @bound.add("stringLength", 1)
    def string_length(text: Value) -> int:
        """The length in bytes."""
        found = coerce_to_string(text, copy_path=copy_path)
        return len(found) if found.isascii() else len(found.encode("utf-8", "surrogateescape"))

    @bound.add("substring", 3)
    def substring(start: Value, length: Value, text: Value) -> str:
        """`length` bytes from `start`; a negative length means the rest."""
        first = expect_int(start)
        size = expect_int(length)
        found = coerce_to_string(text, copy_path=copy_path)
        if first < 0:
            raise NixError("negative start position in 'substring'")
        end = None if size < 0 else first + size
        if found.isascii():
            part = str.__getitem__(found, slice(first, end))
        else:
            part = found.encode("utf-8", "surrogateescape")[first:end].decode("utf-8", "surrogateescape")
        return with_context(part, context_of(found)) if type(found) is NixString else part

    @bound.add("concatStringsSep", 2)
    def concat_strings_sep(separator: Value, items: Value) -> str:
        """Strings joined."""
        between = expect_string(separator)
        texts: list[str] = []
        plain = type(between) is str
        for item in expect_list(items):
            if type(item) is Thunk:
                item = evaluate(item)
            if type(item) is not str:
                item = coerce_to_string(item, copy_path=copy_path)
                plain = plain and type(item) is str
            texts.append(item)
        return between.join(texts) if plain else concat_strings(between, texts)

    @bound.add("unsafeDiscardStringContext", 1)
    def unsafe_discard_string_context(text: Value) -> str:
        """The string without its context."""
        return str(coerce_to_string(text, copy_path=copy_path))

    @bound.add("unsafeDiscardOutputDependency", 1)
    def unsafe_discard_output_dependency(text: Value) -> str:
        """All-outputs elements become plain references to the derivation."""
        found = coerce_to_string(text, copy_path=copy_path)
        context = frozenset(element[1:] if element.startswith("=") else element for element in context_of(found))
        return with_context(str(found), context)

    @bound.add("addDrvOutputDependencies", 1)
    def add_drv_output_dependencies(text: Value) -> str:
        """A reference to a derivation file becomes one to all its outputs."""
        found = coerce_to_string(text, copy_path=copy_path)
        context = context_of(found)
        if len(context) != 1:
            raise NixError(f"context of string '{found}' must have exactly one element, but has {len(context)}")
        (element,) = context
        if element.startswith("!"):
            raise NixError("'addDrvOutputDependencies' can only act on derivations, not on a derivation output")
        path = element.removeprefix("=")
        if not path.endswith(".drv"):
            raise NixError(f"path '{path}' is not a derivation")
        return with_context(str(found), frozenset({f"={path}"}))

    @bound.add("throw", 1)
    def throw(message: Value) -> Value:
        """Fail, in a way that `tryEval` catches."""
        raise NixThrow(str(coerce_to_string(message, copy_path=copy_path)))

    @bound.add("abort", 1)
    def abort(message: Value) -> Value:
        """Fail, in a way that nothing catches."""
        raise NixAbort(
            f"evaluation aborted with the following error message: '{coerce_to_string(message, copy_path=copy_path)}'"
        )

    @bound.add("addErrorContext", 2)
    def add_error_context(context: Value, value: Value) -> Value:
        """`value`; should it fail, its trace says `context`."""
        try:
            return whnf(value)
        except TRANSLATED as error:
            fault = located(error)
            if isinstance(fault, NixError):
                add_context(fault, str(coerce_to_string(context, copy_path=copy_path)))
            raise fault from None

    return bound
