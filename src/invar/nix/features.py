"""Nix's experimental features that are known here, by their names in `experimental-features`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PIPE_OPERATORS = "pipe-operators"
NO_URL_LITERALS = "no-url-literals"
FLAKES = "flakes"
FETCH_CLOSURE = "fetch-closure"
DYNAMIC_DERIVATIONS = "dynamic-derivations"

SYNTAX_FEATURES = frozenset({PIPE_OPERATORS, NO_URL_LITERALS})
"""Those that change what a text means or whether it is valid."""

BUILTIN_FEATURES = {"getFlake": FLAKES, "fetchClosure": FETCH_CLOSURE, "outputOf": DYNAMIC_DERIVATIONS}
"""Builtins that are there only with a feature. `fetch-tree`, `nix-command` and the like are accepted and mean nothing:
what they switch is always there."""


IMPURE_CONSTANTS = ("currentSystem", "currentTime")


def missing_hint(builtin: str) -> str | None:
    """What to do where a builtin is missing that a feature, or impure evaluation, would bring."""
    if builtin in IMPURE_CONSTANTS:
        return "Pure evaluation does not have it (use '--impure' to override)."
    feature = BUILTIN_FEATURES.get(builtin)
    if feature is None:
        return None
    return f"It belongs to the experimental feature '{feature}': '--extra-experimental-features {feature}'."


def read_features(texts: Iterable[str]) -> frozenset[str]:
    """The features that the values of `experimental-features` settings name, those with an effect."""
    return SYNTAX_FEATURES.union(BUILTIN_FEATURES.values()) & {name for text in texts for name in text.split()}
