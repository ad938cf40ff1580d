"""Relations between packages (Depends, Conflicts, Provides, ...), after Debian Policy, chapter 7."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from invar.debian.version import satisfies

_RELATION = re.compile(
    r"\s*(?P<name>[a-zA-Z0-9][a-zA-Z0-9+.-]*)(?::(?P<qualifier>[a-z0-9-]+))?"
    r"\s*(?:\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s()<>=]+)\s*\))?\s*"
)
_OLD_OPERATORS = {"<": "<=", ">": ">="}


@dataclass(frozen=True, slots=True)
class Relation:
    """One package name with what is asked of its version and architecture.

    `qualifier` is what follows the colon ("any", "native", an architecture) or None. `operator` and `version` come
    together.
    """

    name: str
    qualifier: str | None = None
    operator: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        qualifier = f":{self.qualifier}" if self.qualifier else ""
        return f"{self.name}{qualifier}" + (f" ({self.operator} {self.version})" if self.operator else "")

    def accepts(self, version: str) -> bool:
        """Whether a package of this name in `version` satisfies it."""
        if self.operator is None or self.version is None:
            return True
        return satisfies(version, self.operator, self.version)

    def accepts_provided(self, version: str | None) -> bool:
        """Whether a Provides of this name satisfies it; an unversioned one never satisfies a versioned relation."""
        if self.operator is None:
            return True
        return version is not None and self.accepts(version)


Alternatives = tuple[Relation, ...]
"""Relations of which one suffices, in the order of preference (`a | b`)."""


@lru_cache(maxsize=32768)
def parse_relations(text: str) -> tuple[Alternatives, ...]:
    """The value of a relation field: all of the alternatives have to hold. Raises ValueError for a malformed one."""
    return tuple(
        tuple(_parse_relation(part) for part in group.split("|")) for group in text.split(",") if not _is_blank(group)
    )


def _parse_relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a package relation: {text.strip()!r}")
    operator = match["operator"]
    return Relation(match["name"], match["qualifier"], _OLD_OPERATORS.get(operator, operator), match["version"])


def _is_blank(text: str) -> bool:
    return not text.strip()
