"""Reads the corpus: an expression, then `-> ` and the value as `nix-instantiate --eval --strict` prints it."""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def cases(name: str) -> list[tuple[str, str]]:
    """(expression, printed value) of a file of the corpus."""
    found: list[tuple[str, str]] = []
    lines: list[str] = []
    for line in (CORPUS / name).read_text().splitlines():
        if line.startswith("-> "):
            found.append(("\n".join(lines), line.removeprefix("-> ")))
            lines = []
        elif lines or line:
            lines.append(line)
    return found
