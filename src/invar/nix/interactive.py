"""What a Nix REPL does with a line: expressions, bindings and `:` commands, without a terminal."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

from invar.nix.builtins.deferred import Deferred
from invar.nix.errors import NixError, NixSyntaxError, render
from invar.nix.evaluator import Evaluator
from invar.nix.lexer import KEYWORDS, Source
from invar.nix.parser import parse
from invar.nix.printer import attribute_name, print_scalar, print_value
from invar.nix.runtime import delay, force
from invar.nix.stack import with_big_stack
from invar.nix.values import Lambda, Primop, Value, type_name

HELP = """\
  EXPR             evaluate and print, one level deep
  NAME = EXPR      bind a variable
  :a EXPR          add the attributes of a set to the scope
  :doc EXPR        what a builtin or function does and takes
  :l FILE          load the attributes of a Nix file into the scope
  :p EXPR          evaluate to the bottom and print
  :q               leave
  :r               read the loaded files again
  :t EXPR          the type of a value
  :?               this text"""
COMMANDS = (":a", ":doc", ":l", ":p", ":q", ":r", ":t", ":?")
_BINDING = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_'-]*)\s*=(?!=)(.*)", re.DOTALL)
_COMPLETED = re.compile(r"((?:[a-zA-Z_][a-zA-Z0-9_'-]*\.)*)([a-zA-Z_][a-zA-Z0-9_'-]*)?\Z")


class Interactive:
    """One REPL: its scope and the files it has loaded. `make` gives a fresh evaluator, which has read no file yet."""

    def __init__(self, make: Callable[[], Evaluator], *, show_trace: bool = False) -> None:
        self.finished = False
        self._make = make
        self._evaluator = make()
        self._scope: dict[str, Value] = {}
        self._loaded: list[str] = []
        self._show_trace = show_trace
        self._count = 0

    def is_incomplete(self, text: str) -> bool:
        """Whether more lines must follow before this can be evaluated."""
        command, rest = _command(text)
        if command in (":l", ":q", ":r", ":?"):
            return False
        binding = _BINDING.fullmatch(rest) if not command else None
        expression = binding.group(2).rstrip().removesuffix(";") if binding else rest
        if not expression.strip():
            return binding is not None
        try:
            parse(Source.of("", expression), features=self._evaluator.features)
        except NixSyntaxError as error:
            return "unexpected end of file" in error.message
        return False

    def run(self, text: str) -> str:
        """What one input prints ("" for nothing). Raises NixError."""
        return with_big_stack(self._run, text)

    def told(self, error: NixError) -> str:
        """An error with its place and source."""
        return render(error, self._evaluator.sources, show_trace=self._show_trace)

    def complete(self, before: str) -> list[str]:
        """What may stand in place of the last word of `before`, each whole."""
        if before.startswith(":") and " " not in before:
            return [command for command in COMMANDS if command.startswith(before)]
        found = _COMPLETED.search(before)
        assert found is not None
        path, start = found.group(1), found.group(2) or ""
        if not path:
            known = {*self._scope, *self._evaluator.builtins, *KEYWORDS} if start else {*self._scope, "builtins"}
            return sorted(str(name) for name in known if name.startswith(start))
        try:
            owner = self._evaluate(path.rstrip("."))
        except NixError:
            return []
        if not isinstance(owner, dict):
            return []
        return [path + attribute_name(name) for name in sorted(map(str, owner)) if name.startswith(start)]

    def _run(self, text: str) -> str:
        command, rest = _command(text)
        if command:
            return self._command(command, rest.strip())
        binding = _BINDING.fullmatch(text)
        if binding is not None:
            name, expression = binding.group(1), binding.group(2).rstrip().removesuffix(";")
            scope = dict(self._scope)
            label = self._label()
            parse(Source.of(label, expression), features=self._evaluator.features)
            self._scope[name] = delay(lambda: self._evaluator.eval_string(expression, name=label, scope=scope))
            return ""
        return shallow(self._evaluate(text)) if text.strip() else ""

    def _command(self, command: str, rest: str) -> str:
        if command == ":q":
            self.finished = True
        elif command == ":?":
            return HELP
        elif command == ":t":
            return type_name(self._evaluate(rest))
        elif command == ":p":
            return print_value(self._evaluate(rest), strict=True)
        elif command == ":doc":
            return describe(self._evaluate(rest))
        elif command == ":a":
            return self._add(self._evaluate(rest))
        elif command == ":l":
            added = self._load(rest)
            self._loaded.append(rest)
            return added
        elif command == ":r":
            self._evaluator = self._make()
            return "\n".join(self._load(path) for path in self._loaded)
        else:
            raise NixError(f"unknown command '{command}'", hint="':?' lists them.")
        return ""

    def _load(self, path: str) -> str:
        if not path:
            raise NixError("':l' needs a file")
        value = force(self._evaluator.import_file(Path(path).expanduser()))
        if isinstance(value, Lambda) and value.info is not None and value.info.formals is not None:
            from invar.nix.selection import with_arguments  # few files are functions

            value = force(with_arguments(value, {}))
        return self._add(value)

    def _add(self, value: Value) -> str:
        if not isinstance(value, dict):
            raise NixError(f"a set is needed, not {type_name(value)}")
        self._scope.update((str(name), one) for name, one in value.items())
        return f"Added {len(value)} variables."

    def _evaluate(self, text: str) -> Value:
        return force(self._evaluator.eval_string(text, name=self._label(), scope=self._scope))

    def _label(self) -> str:
        self._count += 1
        return f"«repl {self._count}»"


def shallow(value: Value) -> str:
    """A value with the elements of a list or set evaluated, but not what is in these."""
    if not isinstance(value, (list, dict)):
        return print_scalar(value)
    if isinstance(value, list):
        return " ".join(["[", *map(_element, value), "]"])
    return " ".join(["{", *(f"{attribute_name(str(name))} = {_element(value[name])};" for name in sorted(value)), "}"])


def _element(value: Value) -> str:
    try:
        value = force(value)
    except NixError as error:
        return f"«error: {error.message.splitlines()[0] if error.message else ''}»"
    if isinstance(value, list):
        return "[ ... ]" if value else "[ ]"
    if isinstance(value, dict):
        return "{ ... }" if value else "{ }"
    return print_scalar(value)


def describe(value: Value) -> str:
    """What a function takes and, for a builtin, does."""
    if isinstance(value, Primop):
        arguments = "s" if value.arity != 1 else ""
        doc = inspect.getdoc(value.fn.resolved() if isinstance(value.fn, Deferred) else value.fn) or "No documentation."
        return f"builtins.{value.name}: {value.arity} argument{arguments}\n{doc}"
    if isinstance(value, Lambda) and (info := value.info) is not None:
        if info.formals is None:
            takes = info.argument or "_"
        else:
            names = [f"{name} ? ..." if optional else name for name, optional in info.formals.items()]
            takes = f"{{ {', '.join([*names, *(['...'] if info.ellipsis else [])])} }}"
        return f"function {info.name or ''}".rstrip() + f": {takes}\ndefined at {info.pos}"
    raise NixError(f"only functions have documentation, not {type_name(value)}")


def _command(text: str) -> tuple[str, str]:
    """A command with what follows it; "" and the text where there is none."""
    found = re.match(r"\s*(:\S+)(.*)", text, re.DOTALL)
    return (found.group(1), found.group(2)) if found else ("", text)
