"""A Nix source to a `Compiled`: a Python code object and the list of what must be linked with it. Plain data."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable

from invar.nix.ast import Node
from invar.nix.compiled import Compiled
from invar.nix.emit_base import Unit
from invar.nix.emitter import Emitter
from invar.nix.errors import NixError
from invar.nix.lexer import Source
from invar.nix.parser import parse
from invar.nix.resolve import resolve


def compile_source(
    source: Source,
    is_builtin: Callable[[str], str | None],
    *,
    scoped: Iterable[str] = (),
    features: frozenset[str] = frozenset(),
) -> Compiled:
    """Parse, resolve, emit and compile. Raises NixSyntaxError, NixUndefined."""
    return compile_tree(parse(source, features=features), source, is_builtin, scoped=scoped)


def compile_tree(
    root: Node, source: Source, is_builtin: Callable[[str], str | None], *, scoped: Iterable[str] = ()
) -> Compiled:
    """The same from a syntax tree."""
    try:
        resolve(root, source, is_builtin, scoped)
        unit = Unit(source)
        emitter = Emitter(unit, {}, top=True)
        emitter.tail(root)
        emitter.at(root.at)
        emitter.function_definition("root", [], [])
        module = ast.Module(unit.functions, [])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # `1 == null` is odd in Python too, but it is valid Nix
            code = compile(module, "<nix>", "exec", dont_inherit=True, optimize=0)
    except RecursionError:
        raise NixError("the expression is nested too deeply", source.pos(root.at)) from None
    return Compiled(
        code,
        tuple((spelled, name, *source.line_column(at)) for (name, at), spelled in unit.keys.items()),
        tuple(unit.paths.items()),
        tuple(unit.builtins),
        tuple(unit.primops.items()),
        tuple(unit.top_names),
        tuple(unit.labels.items()),
        tuple(unit.infos.items()),
        tuple(unit.traits.items()),
        tuple((spelled, code_name, arity) for code_name, (spelled, arity) in unit.closed_functions.items()),
    )
