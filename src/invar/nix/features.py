"""Nix's experimental features that are known here, by their names in `experimental-features`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PIPE_OPERATORS = "pipe-operators"
NO_URL_LITERALS = "no-url-literals"

SYNTAX_FEATURES = frozenset({PIPE_OPERATORS, NO_URL_LITERALS})
"""Those that change what a text means or whether it is valid: all that change anything here.

`flakes`, `fetch-tree`, `nix-command` and the like are accepted and mean nothing: what they switch is always there.
"""


def read_features(texts: Iterable[str]) -> frozenset[str]:
    """The features that the values of `experimental-features` settings name, those with an effect."""
    return SYNTAX_FEATURES & {name for text in texts for name in text.split()}
