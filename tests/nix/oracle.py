"""Real Nix as an oracle for many expressions at once: one `nix repl` process, which goes on after an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from invar.nix import Evaluator, NixError, Value, force, print_value, with_big_stack

NIX = shutil.which("nix")
PER_FILE = 60
"""Nix reads a file again for each error in it: small files keep that cheap."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_MESSAGE = re.compile(r"\Aerror: ?(.*?)(?=\n\n|\n       at |\n       \(|\n       …|\Z)", re.DOTALL)
_LAMBDA = re.compile(r"«lambda[^»]*»")
_OWN_WORDS = (
    (re.compile(r"^(?:\[json\.exception|JSON parse error).*", re.DOTALL), "invalid JSON"),
    (re.compile(r"^while parsing a TOML string.*", re.DOTALL), "invalid TOML"),
    (re.compile(r"^invalid regular expression.*", re.DOTALL), "invalid regular expression"),
    (re.compile(r"^attribute '\"(.*?)\"' missing"), r"attribute '\1' missing"),  # quoted where it is no identifier
    (re.compile(r"^assertion '.*' failed$", re.DOTALL), "assertion failed"),  # names come in any order there
    (re.compile(r"^stack overflow.*", re.DOTALL), "stack overflow"),
    (re.compile(r"^the float .* is out of the range of integers$"), "out of range"),
)
"""Where both name the fault, but not in the same words."""


class Outcome(NamedTuple):
    """What evaluating everything in an expression came to: its value printed, or the first line of the error."""

    kind: Literal["value", "error", "crash"]
    text: str


def write_files(expressions: Sequence[str], directory: Path) -> list[Path]:
    """Files of `PER_FILE` expressions each; no expression may have an undefined variable or a syntax error."""
    paths = []
    for start in range(0, len(expressions), PER_FILE):
        path = directory / f"{start}.nix"
        items = "\n".join(f"({expression}\n)" for expression in expressions[start : start + PER_FILE])
        path.write_text(
            f"rec {{ T = i: let v = builtins.elemAt xs i; in builtins.deepSeq v v; xs = [\n{items}\n]; }}\n"
        )
        paths.append(path)
    return paths


def of_nix(expressions: Sequence[str], paths: Sequence[Path], state: Path) -> list[Outcome]:
    """What Nix says. A stack overflow ends its process; another one takes the rest."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(expressions):
        outcomes += _of_one_process(range(len(outcomes), len(expressions)), paths, state)
    return outcomes


def _of_one_process(indices: range, paths: Sequence[Path], state: Path) -> list[Outcome]:
    """Outcomes from the first index on, until the process ended."""
    assert NIX is not None
    lines = []
    for index in indices:
        if index % PER_FILE == 0 or index == indices.start:
            lines.append(f":l {paths[index // PER_FILE]}")
        lines += [f":p T {index % PER_FILE}", f':p "M{index}"']
    environment = {
        **{name: value for name, value in os.environ.items() if name != "NIX_PATH"},
        "NIX_STATE_DIR": str(state),
        "NIX_REMOTE": "",
        "HOME": str(state),
        "TERM": "dumb",
        "NIX_CONFIG": "experimental-features = nix-command",
    }
    done = subprocess.run(
        [NIX, "repl"], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="surrogateescape", env=environment, cwd="/", timeout=300,
    )  # fmt: skip
    output = _COLOURS.sub("", done.stdout)
    outcomes = []
    for index in indices:
        body, marker, output = output.partition(f'nix-repl> :p "M{index}"\n"M{index}"\n')
        said = body.split(f"nix-repl> :p T {index % PER_FILE}\n", 1)[1].lstrip()
        if not marker:
            assert said.startswith("error: stack overflow"), said[:2000]
            return [*outcomes, Outcome("error", "stack overflow")]
        outcomes.append(_outcome(said))
    return outcomes


def _outcome(body: str) -> Outcome:
    message = _MESSAGE.match(body)
    if message is not None:
        return Outcome("error", _normal(re.sub(r"\n {7,}", "\n", message.group(1).strip())))
    text = _LAMBDA.sub("<LAMBDA>", body.strip()).replace("\\${", "${")  # which `nix repl` does not quote
    return Outcome("value", text.replace("«primop-app»", "<PRIMOP-APP>").replace("«primop»", "<PRIMOP>"))


def _normal(message: str) -> str:
    for pattern, word in _OWN_WORDS:
        message = pattern.sub(word, message)
    return message


def of_invar(count: int, paths: Sequence[Path]) -> list[Outcome]:
    """What Invar says; "crash" for anything but a value or a `NixError`."""
    evaluator = Evaluator(on_trace=lambda text: None, on_warn=lambda text: None)
    return with_big_stack(lambda: [_evaluated(evaluator, paths, index) for index in range(count)])


def _evaluated(evaluator: Evaluator, paths: Sequence[Path], index: int) -> Outcome:
    items = force(evaluator.import_file(paths[index // PER_FILE])["xs"])
    try:
        text = print_value(items[index % PER_FILE], strict=True)
        return Outcome("value", text.replace("\\${", "${"))
    except NixError as error:
        return Outcome("error", _normal(error.message))
    except Exception as error:
        return Outcome("crash", repr(error))


def differences(expressions: Sequence[str], directory: Path) -> list[tuple[str, Outcome, Outcome]]:
    """(expression, Nix's outcome, Invar's) for each on which they differ."""
    paths = write_files(expressions, directory)
    theirs = of_nix(expressions, paths, directory / "state")
    mine = of_invar(len(expressions), paths)
    return [
        (expressions[index], *both)
        for index, both in enumerate(zip(theirs, mine, strict=True))
        if both[0] != both[1] and not _another_member(*both, paths, index)
    ]


def _another_member(theirs: Outcome, mine: Outcome, paths: Sequence[Path], index: int) -> bool:
    """Whether Nix only tells the fault of another member: it evaluates a set in the order in which it met the names."""
    if theirs.kind != "error" or mine.kind != "error":
        return False

    def found() -> bool:
        items = force(Evaluator(on_trace=lambda text: None).import_file(paths[index // PER_FILE])["xs"])
        return theirs.text in _faults(items[index % PER_FILE], 0)

    return with_big_stack(found)


def _faults(value: Value, depth: int) -> Iterator[str]:
    """The faults of all members of a value."""
    try:
        forced = force(value)
    except NixError as error:
        yield _normal(error.message)
        return
    members = forced.values() if isinstance(forced, dict) else forced if isinstance(forced, list) else ()
    if depth < 20:
        for member in members:
            yield from _faults(member, depth + 1)
