"""What a variable that nothing binds stands for: the names of Nix's builtins."""

from __future__ import annotations

from invar.nix.features import BUILTIN_FEATURES
from invar.nix.signatures import SIGNATURES

UNPREFIXED = frozenset(
    {
        "abort", "baseNameOf", "break", "builtins", "derivation", "derivationStrict", "dirOf", "false", "fetchGit",
        "fetchMercurial", "fetchTarball", "fetchTree", "fromTOML", "import", "isNull", "map", "null", "placeholder",
        "removeAttrs", "scopedImport", "throw", "toString", "true",
    }
)  # fmt: skip
"""Builtins that are also variables by their own name; all others are only with `__` before it."""

NAMES = frozenset(
    {*SIGNATURES, *UNPREFIXED}
    | {
        "fetchClosure", "flakeRefToString", "getFlake", "outputOf", "parseFlakeRef",
        "addDrvOutputDependencies", "appendContext", "convertHash", "currentSystem", "currentTime", "fetchurl",
        "filterSource", "findFile", "getEnv", "hashFile", "langVersion", "nixPath", "nixVersion", "path", "pathExists",
        "readDir", "readFile", "readFileType", "storeDir", "storePath", "toFile", "toPath", "toXML", "traceVerbose",
        "unsafeDiscardOutputDependency", "unsafeGetAttrPos", "warn",
    }
)  # fmt: skip
"""Everything that Nix itself has in `builtins`, as far as it is here."""


def builtin_behind(variable: str, features: frozenset[str] = frozenset()) -> str | None:
    """The builtin that a variable not bound anywhere stands for, with these experimental features."""
    if BUILTIN_FEATURES.get(variable.removeprefix("__"), "") not in {"", *features}:
        return None
    if variable in UNPREFIXED:
        return variable
    if variable.startswith("__") and variable[2:] in NAMES and variable[2:] not in UNPREFIXED:
        return variable[2:]
    return None
