"""What compiling a source gives: code and the list of what must be linked with it. Plain data, which can be stored."""

from __future__ import annotations

from types import CodeType
from typing import Any, NamedTuple


class Compiled(NamedTuple):
    """What `marshal` can store. Pairs are (name in the generated module, ...)."""

    code: CodeType
    keys: tuple[tuple[str, str, int, int], ...]
    paths: tuple[tuple[str, str], ...]
    builtins: tuple[str, ...]
    primops: tuple[tuple[str, int], ...]
    top_names: tuple[str, ...]
    labels: tuple[tuple[str, tuple[str, int, int]], ...]
    infos: tuple[tuple[str, Any], ...]
    traits: tuple[tuple[str, tuple[str, Any]], ...]
    closed_functions: tuple[tuple[str, str, int], ...]
