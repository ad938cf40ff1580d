"""`python -m invar.nix`: evaluates as `nix-instantiate --eval` does, with its arguments."""

from __future__ import annotations

import itertools
import os
import sys

from invar.nix.builtins import VERSION
from invar.nix.coerce import coerce_to_string
from invar.nix.errors import NixError, render
from invar.nix.evaluator import Evaluator
from invar.nix.features import read_features
from invar.nix.selection import select, shown, with_arguments
from invar.nix.stack import limit_calls, process_ends_at_once, with_big_stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from invar.nix.selection import Style
    from invar.nix.values import Value

USAGE = """\
usage: python -m invar.nix [--eval] [--strict] [--json | --xml [--no-location]] [--parse] [-A PATH]... [-I PATH]...
                           [--arg NAME EXPR]... [--argstr NAME TEXT]... [--option NAME VALUE]... [--pure-eval]
                           [--restrict-eval] [--extra-experimental-features NAMES] [--show-trace] [--cache DIR]
                           [-E EXPR | FILE | -]...
       python -m invar.nix --find-file NAME...
Evaluates Nix expressions and prints their values, as nix-instantiate --eval does. Its flags that are about building
are accepted and mean nothing."""

TRY_HELP = "Try 'python -m invar.nix --help' for more information."

NO_MEANING = frozenset(
    {"--eval", "--eval-only", "--read-write-mode", "--readonly-mode", "--read-only", "--dry-run", "--repair"}
    | {"--verbose", "--quiet", "--no-build-output", "--keep-going", "--keep-failed", "--fallback"}
)
"""Flags that change nothing here."""

NO_MEANING_WITH_VALUE = frozenset(
    {"-j", "--max-jobs", "--cores", "--timeout", "--max-silent-time", "--log-format", "--store", "--eval-store"}
)
LETTERS = "EAIjvQkK"
"""Flags of one letter, which may stand together behind one dash."""


class Options:
    """The command line."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.expressions = False
        self.attributes: list[str] = []
        self.search_path: list[str] = []
        self.arguments: list[tuple[str, str, bool]] = []
        self.style: Style = "nix"
        self.strict = False
        self.parse_only = False
        self.find_files = False
        self.informs = ""
        self.locations = True
        self.settings: dict[str, str] = {}
        self.cache: str | None = None

    def on(self, name: str) -> bool:
        """Whether a setting is true."""
        return self.settings.get(name) == "true"

    @property
    def features(self) -> frozenset[str]:
        """The experimental features that are switched on."""
        return read_features([self.settings.get("experimental-features", "")])


SETTINGS = {
    "pure-eval": "",
    "restrict-eval": "",
    "allowed-uris": "",
    "experimental-features": "",
    "max-call-depth": "10000",
    "show-trace": "",
    "trace-verbose": "",
}
"""Nix's settings that evaluation here knows, with their defaults; all others are accepted and mean nothing."""

SWITCHES = frozenset({"pure-eval", "restrict-eval", "trace-verbose", "show-trace"})


class UsageError(Exception):
    """The command line makes no sense."""


def parse_arguments(argv: list[str]) -> Options:
    """Options in nix-instantiate's form. Raises UsageError."""
    options = Options()
    words: Iterator[str] = iter(argv)

    def following(flag: str, wanted: int = 1) -> str:
        word = next(words, None)
        if word is None:
            if flag in ("-A", "--attr"):
                raise UsageError(f"'{flag}' requires an argument")
            raise UsageError(f"flag '{flag}' requires {wanted} argument(s)")
        return word

    while (word := next(words, None)) is not None:
        if word in NO_MEANING or word in ("-v", "-Q", "-k", "-K"):
            continue
        if word in NO_MEANING_WITH_VALUE:
            following(word)
        elif word in ("-E", "--expr"):
            options.expressions = True
        elif word in ("-A", "--attr"):
            options.attributes.append(following(word))
        elif word in ("-I", "--include"):
            options.search_path.append(following(word))
        elif word.startswith("-I"):
            options.search_path.append(word[2:])
        elif word in ("--arg", "--argstr"):
            name = following(word, 2)
            options.arguments.append((name, following(word, 2), word == "--arg"))
        elif word in ("--json", "--xml"):
            options.style = "json" if word == "--json" else "xml"
        elif word == "--strict":
            options.strict = True
        elif word == "--parse":
            options.parse_only = True
        elif word == "--find-file":
            options.find_files = True
        elif word == "--no-location":
            options.locations = False
        elif word in ("--help", "--version"):
            options.informs = word
            return options
        elif word == "--option":
            name = following(word, 2)
            _set(options.settings, name, following(word, 2))
        elif word in ("--impure", "--pure"):
            options.settings["pure-eval"] = "false" if word == "--impure" else "true"
        elif word.startswith("--") and word[2:] in SWITCHES:
            options.settings[word[2:]] = "true"
        elif word.startswith("--no-") and word[5:] in SWITCHES:
            options.settings[word[5:]] = "false"
        elif word.startswith("--") and word[2:].removeprefix("extra-") in SETTINGS:
            _set(options.settings, word[2:], following(word))
        elif word == "--cache":
            options.cache = following(word)
        elif word.startswith("-j") and word[2:].isdigit():
            continue
        elif len(word) > 2 and word[0] == "-" and all(letter in LETTERS for letter in word[1:]):
            words = itertools.chain([f"-{letter}" for letter in word[1:]], words)
        elif word.startswith("-") and word != "-":
            raise UsageError(f"unrecognised flag '{word}'")
        else:
            options.sources.append(word)
    return options


def _set(settings: dict[str, str], name: str, value: str) -> None:
    """One setting; `extra-NAME` appends to NAME."""
    if name.startswith("extra-"):
        name = name.removeprefix("extra-")
        value = f"{settings.get(name, '')} {value}".strip()
    settings[name] = value


def read_nix_config(text: str) -> dict[str, str]:
    """The settings in the text of a `nix.conf`, as the variable NIX_CONFIG holds."""
    settings: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("#")[0].partition("=")
        if equals:
            _set(settings, name.strip(), value.strip())
    return settings


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0, or 1 for an error, as nix-instantiate's is; 130 after Ctrl-C."""
    try:
        options = parse_arguments(sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        print(f"error: {error}\n{TRY_HELP}", file=sys.stderr)
        return 1
    if options.informs:
        print(USAGE if options.informs == "--help" else f"nix-instantiate (Invar) {VERSION}")
        return 0
    options.settings = read_nix_config(os.environ.get("NIX_CONFIG", "")) | options.settings
    search_path = [*options.search_path]
    if not options.on("pure-eval"):
        search_path += [entry for entry in os.environ.get("NIX_PATH", "").split(":") if entry]
    evaluator = Evaluator(
        cache_dir=options.cache or None,
        search_path=search_path,
        pure=options.on("pure-eval"),
        restricted=options.on("restrict-eval"),
        allowed_uris=options.settings.get("allowed-uris", "").split(),
        features=options.features,
    )
    try:
        with_big_stack(_run, options, evaluator)
    except NixError as error:
        print(render(error, evaluator.sources, show_trace=options.on("show-trace")), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted by the user", file=sys.stderr)
        return 130
    return 0


def _run(options: Options, evaluator: Evaluator) -> None:
    limit_calls(options.settings.get("max-call-depth", SETTINGS["max-call-depth"]))
    arguments: dict[str, Value] = {
        name: evaluator.eval_string(text) if is_nix else text for name, text, is_nix in options.arguments
    }
    if options.find_files:
        for name in options.sources:
            print(coerce_to_string(evaluator.find_file(name)))
        return
    for source in options.sources or ([] if options.expressions else ["./default.nix"]):
        text = sys.stdin.read() if source == "-" else source
        name = "«stdin»" if source == "-" else "«string»"
        if options.parse_only:
            if not options.expressions and source != "-":
                name = source
                with open(source, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
                    text = file.read()
            from invar.nix.lexer import Source  # evaluation of cached code needs no parser
            from invar.nix.parser import parse
            from invar.nix.unparse import absolute_paths, unparse

            tree = parse(Source.of(name, text), features=options.features)
            absolute_paths(tree, os.path.dirname(os.path.realpath(name)) if name == source else os.getcwd())  # noqa: PTH109, PTH120
            print(unparse(tree))
            continue
        if options.expressions or source == "-":
            value = evaluator.eval_string(text, name=name)
        else:
            value = evaluator.eval_file(source)
        for path in options.attributes or [""]:
            found = select(value, path, arguments)
            if arguments:
                found = with_arguments(found, arguments)
            print(
                shown(found, options.style, strict=options.strict, locations=options.locations, like_nix=True), end=""
            )


def run() -> None:
    """The command, to the end of the process: freeing a large value one object at a time takes as long as making it."""
    process_ends_at_once()
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
