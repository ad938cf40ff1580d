"""Paragraphs of fields, after deb822(5)."""

from __future__ import annotations

from collections.abc import Mapping


def parse_stanza(text: str) -> dict[str, str]:
    """The fields of one paragraph in their order; continuation lines keep their line breaks and leading space.

    Raises ValueError for a line that is neither.
    """
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line[0] in " \t":
            if not name:
                raise ValueError(f"a paragraph begins with a continuation line: {line!r}")
            fields[name] += f"\n{line}"
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not a field: {line!r}")
        fields[name] = value.strip()
    return fields


def format_stanza(fields: Mapping[str, str]) -> str:
    """The text of one paragraph, ending in a newline but not in an empty line."""
    lines = []
    for name, value in fields.items():
        separator = ":" if value.startswith("\n") or not value else ": "
        lines.append(f"{name}{separator}{value}")
    return "\n".join(lines) + "\n"
