"""EC2's Filters parameter and its pages: which records a Describe call shows."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from invar.localcloud.errors import CloudError

Facts = Mapping[str, Sequence[str]]
"""What a record can be filtered by: filter name → values, of which one must match."""

T = TypeVar("T")


def tag_facts(tags: Mapping[str, str]) -> dict[str, list[str]]:
    """The `tag:KEY` and `tag-key` facts of a record's tags."""
    facts = {f"tag:{key}": [value] for key, value in tags.items()}
    facts["tag-key"] = list(tags)
    return facts


def matches(facts: Facts, filters: Sequence[Mapping[str, Any]], known: Sequence[str]) -> bool:
    """Whether every filter has a value that matches (`*` and `?` are wild cards).

    `known` names the filters of this call besides tags. Raises CloudError for any other, as AWS does.
    """
    for item in filters:
        name = item["Name"]
        if not (name in known or name.startswith("tag:") or name == "tag-key"):
            raise CloudError("InvalidParameterValue", f"The filter '{name}' is invalid")
        patterns = [_pattern(value) for value in item.get("Values", [])]
        if not any(pattern.fullmatch(fact) for pattern in patterns for fact in facts.get(name, ())):
            return False
    return True


def page(records: Sequence[T], parameters: Mapping[str, Any], least: int, most: int) -> tuple[list[T], str | None]:
    """The page that MaxResults and NextToken ask for, and the next page's token."""
    limit = parameters.get("MaxResults")
    if limit is not None and not least <= int(limit) <= most:
        raise CloudError(
            "InvalidParameterValue",
            f"Value ( {limit} ) for parameter maxResults is invalid. Expecting a value from {least} to {most}.",
        )
    start = _offset(parameters.get("NextToken"))
    end = len(records) if limit is None else start + int(limit)
    token = base64.b64encode(f"page:{end}".encode()).decode() if end < len(records) else None
    return list(records[start:end]), token


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        found = re.fullmatch(r"page:(\d+)", base64.b64decode(token, validate=True).decode())
    except ValueError:
        found = None
    if found is None:
        raise CloudError("InvalidNextToken", "The token is not valid.")
    return int(found[1])


def _pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"(\\.|\*|\?)", text)
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(p) or re.escape(p[1:] if p.startswith("\\") else p) for p in parts), re.DOTALL)
