"""What compiling a source gives: code and the list of what must be linked with it. Plain data, which can be stored."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any


class Compiled:
    """What `marshal` can store. Pairs are (name in the generated module, ...)."""

    __slots__ = (
        *("code", "keys", "paths", "builtins", "primops", "top_names", "labels", "infos", "traits"),
        "closed_functions",
    )

    def __init__(
        self,
        code: CodeType,
        keys: tuple[tuple[str, str, int, int], ...],
        paths: tuple[tuple[str, str], ...],
        builtins: tuple[str, ...],
        primops: tuple[tuple[str, int], ...],
        top_names: tuple[str, ...],
        labels: tuple[tuple[str, tuple[str, int, int]], ...],
        infos: tuple[tuple[str, Any], ...],
        traits: tuple[tuple[str, tuple[str, Any]], ...],
        closed_functions: tuple[tuple[str, str, int], ...],
    ) -> None:
        self.code = code
        self.keys = keys
        self.paths = paths
        self.builtins = builtins
        self.primops = primops
        self.top_names = top_names
        self.labels = labels
        self.infos = infos
        self.traits = traits
        self.closed_functions = closed_functions

    def plain(self) -> tuple[Any, ...]:
        """The arguments that make this again."""
        return (
            *(self.code, self.keys, self.paths, self.builtins, self.primops, self.top_names, self.labels),
            *(self.infos, self.traits, self.closed_functions),
        )
