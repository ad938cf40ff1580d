"""How two texts of a system differ: unified lines, store paths by name, secrets left out."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from invar.system.secrets import find_secrets, without_secrets

_STORE_PATH = re.compile(r"/nix/store/([0-9a-z]{32})-([A-Za-z0-9+._?=-]+)")
CONTEXT = 2
"""Lines shown around a change."""


@dataclass(frozen=True, slots=True)
class TextChange:
    """A change of a text.

    `lines` are those of a unified diff, from the first `@@` on. In them store paths are without their hash: a hash says
    only that something else changed. `follows` names these other objects. `hidden` says why no lines are shown.
    """

    lines: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    hidden: str | None = None

    @property
    def counts(self) -> tuple[int, int]:
        """How many lines were added, how many removed."""
        added = sum(line.startswith("+") for line in self.lines)
        return added, sum(line.startswith("-") for line in self.lines)


NOTHING = TextChange()


def change_of_text(old: str, new: str) -> TextChange:
    """From one text to the other; equal texts give `NOTHING`."""
    if old == new:
        return NOTHING
    follows = _follows(old, new)
    for text in (new, old):
        found = find_secrets(text, "", "")
        if found:
            return TextChange((), follows, f"holds {found[0].kind}")
    before, after = (without_secrets(without_hashes(text)).splitlines() for text in (old, new))
    lines = list(difflib.unified_diff(before, after, lineterm="", n=CONTEXT))[2:]
    if lines or follows:
        return TextChange(tuple(lines), follows)
    hidden = "only white space at the end" if old.split() == new.split() else "a secret value"
    return TextChange((), (), hidden)


def without_hashes(text: str) -> str:
    """A text with `/nix/store/…-name` for every store path."""
    return _STORE_PATH.sub(r"/nix/store/…-\2", text)


def store_name(path: str) -> str:
    """The name of the store object that a path is, or lies in: what follows the hash."""
    found = _STORE_PATH.match(path)
    return found[2] if found else path


def _follows(old: str, new: str) -> tuple[str, ...]:
    """Names of store paths that have another hash in the new text."""
    before: dict[str, set[str]] = {}
    for found, name in _STORE_PATH.findall(old):
        before.setdefault(name, set()).add(found)
    after: dict[str, set[str]] = {}
    for found, name in _STORE_PATH.findall(new):
        after.setdefault(name, set()).add(found)
    return tuple(sorted(name for name in before.keys() & after.keys() if before[name] != after[name]))
