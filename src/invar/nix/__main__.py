"""`python -m invar.nix`: evaluates as `nix-instantiate --eval` does, with its arguments."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from invar.nix.builtins.data import to_json, to_xml
from invar.nix.errors import NixError, NixMissingAttribute, did_you_mean, nearest, render
from invar.nix.evaluator import Evaluator
from invar.nix.printer import print_value
from invar.nix.runtime import call, force, function_args
from invar.nix.stack import with_big_stack
from invar.nix.values import Value

USAGE = """\
usage: python -m invar.nix [--eval] [--strict] [--json | --xml [--no-location]] [--parse] [-A PATH]... [-I PATH]...
                           [--arg NAME EXPR]... [--argstr NAME TEXT]... [--pure] [--show-trace] [--cache DIR]
                           [-E EXPR | FILE | -]...
Evaluates Nix expressions and prints their values, as nix-instantiate --eval does."""


@dataclass(slots=True)
class Options:
    """The command line."""

    sources: list[str] = field(default_factory=list)
    expressions: bool = False
    attributes: list[str] = field(default_factory=list)
    search_path: list[str] = field(default_factory=list)
    arguments: list[tuple[str, str, bool]] = field(default_factory=list)
    style: str = "nix"
    strict: bool = False
    parse_only: bool = False
    locations: bool = True
    show_trace: bool = False
    pure: bool = False
    cache: str | None = None


class UsageError(Exception):
    """The command line makes no sense."""


def parse_arguments(argv: list[str]) -> Options:
    """Options in nix-instantiate's form. Raises UsageError."""
    options = Options()
    words: Iterator[str] = iter(argv)

    def following(flag: str) -> str:
        word = next(words, None)
        if word is None:
            raise UsageError(f"flag '{flag}' requires an argument")
        return word

    for word in words:
        if word in ("--eval", "--read-write-mode", "--eval-only"):
            continue
        if word in ("-E", "--expr"):
            options.expressions = True
        elif word in ("-A", "--attr"):
            options.attributes.append(following(word))
        elif word == "-I":
            options.search_path.append(following(word))
        elif word.startswith("-I"):
            options.search_path.append(word[2:])
        elif word in ("--arg", "--argstr"):
            name = following(word)
            options.arguments.append((name, following(word), word == "--arg"))
        elif word in ("--json", "--xml"):
            options.style = word[2:]
        elif word == "--strict":
            options.strict = True
        elif word == "--parse":
            options.parse_only = True
        elif word == "--no-location":
            options.locations = False
        elif word == "--show-trace":
            options.show_trace = True
        elif word in ("--pure", "--pure-eval"):
            options.pure = True
        elif word == "--cache":
            options.cache = following(word)
        elif word.startswith("-") and word != "-":
            raise UsageError(f"unrecognised flag '{word}'")
        else:
            options.sources.append(word)
    return options


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0, 1 for an evaluation error, 2 for a wrong command line."""
    try:
        options = parse_arguments(sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        print(f"error: {error}\n{USAGE}", file=sys.stderr)
        return 2
    search_path = [*options.search_path]
    if not options.pure:
        search_path += [entry for entry in os.environ.get("NIX_PATH", "").split(":") if entry]
    evaluator = Evaluator(
        cache_dir=pathlib.Path(options.cache) if options.cache else None, search_path=search_path, pure=options.pure
    )
    try:
        with_big_stack(_run, options, evaluator)
    except NixError as error:
        print(render(error, evaluator.sources, show_trace=options.show_trace), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted by the user", file=sys.stderr)
        return 130
    return 0


def _run(options: Options, evaluator: Evaluator) -> None:
    for source in options.sources or ["./default.nix"]:
        text = sys.stdin.read() if source == "-" else source
        name = "«stdin»" if source == "-" else "«string»"
        if options.parse_only:
            if not options.expressions and source != "-":
                name, text = source, pathlib.Path(source).read_text(encoding="utf-8", errors="surrogateescape")
            from invar.nix.lexer import Source  # evaluation of cached code needs no parser
            from invar.nix.parser import parse
            from invar.nix.unparse import unparse

            print(unparse(parse(Source.of(name, text), pipes=True)))
            continue
        if options.expressions or source == "-":
            value = evaluator.eval_string(text, name=name)
        else:
            value = evaluator.eval_file(source)
        for path in options.attributes or [""]:
            found = _select(value, path, options, evaluator)
            if options.arguments:
                found = _with_arguments(found, options, evaluator)
            print(_shown(found, options), end="")


def _with_arguments(value: Value, options: Options, evaluator: Evaluator) -> Value:
    """A function with formals is called with the arguments of the command line, as nix-instantiate does."""
    formals = function_args(value)
    if not formals:
        return value
    given: dict[str, Value] = {}
    for name, text, is_expression in options.arguments:
        if name in formals:
            given[name] = evaluator.eval_string(text) if is_expression else text
    missing = [name for name, optional in formals.items() if not optional and name not in given]
    if missing:
        raise NixError(
            f"cannot evaluate a function that has an argument without a value ('{missing[0]}')",
            hint="Give it with '--arg' or '--argstr'.",
        )
    return call(value, given)


def _select(value: Value, path: str, options: Options, evaluator: Evaluator) -> Value:
    for step in filter(None, path.split(".")):
        value = _with_arguments(force(value), options, evaluator)
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            known = value if isinstance(value, dict) else ()
            raise NixMissingAttribute(
                f"attribute '{step}' in selection path '{path}' not found", hint=did_you_mean(nearest(step, known))
            )
    return force(value)


def _shown(value: Value, options: Options) -> str:
    if options.style == "json":
        return f"{to_json(value, None)}\n"
    if options.style == "xml":
        return to_xml(value, locations=options.locations, strict=options.strict)
    return f"{print_value(value, strict=options.strict, like_nix=True)}\n"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # freeing a large value one object at a time would take as long as making it
