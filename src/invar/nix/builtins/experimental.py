"""Builtins of Nix's experimental features: `getFlake`, `fetchClosure`, `outputOf`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from invar.nix.builtins.registry import Registry
from invar.nix.coerce import coerce_to_string
from invar.nix.errors import NixError, NixRestricted
from invar.nix.fetching import FetchError, is_locked
from invar.nix.input_urls import parse_input_url
from invar.nix.runtime import expect_plain, expect_set, whnf
from invar.nix.store_objects import Derivation
from invar.nix.storepath import compress, encode_base32, output_name
from invar.nix.values import NixString, Value, context_of

if TYPE_CHECKING:
    from invar.nix.evaluator import Evaluator


def bound_builtins(evaluator: Evaluator) -> Registry:
    """All of them."""
    bound = Registry()

    @bound.add("getFlake", 1)
    def get_flake(reference: Value) -> Value:
        """The value of the flake that a reference (`github:owner/repo/REV`, an absolute path) means."""
        text = str(expect_plain(reference))
        if text.startswith(("./", "../")) or text in (".", ".."):
            raise NixError(f"flake reference '{text}' is not an absolute path")
        attributes = parse_input_url(f"path:{text}" if text.startswith("/") else text)
        address = str(attributes.get("url") or "")
        here = attributes["type"] == "path" or address.startswith("file:")
        if not is_locked(attributes) and (evaluator.pure or not (here or evaluator.fetch_unlocked)):
            raise NixRestricted(
                f"cannot call 'getFlake' on unlocked flake reference '{text}' (use --impure to override)",
                hint="A reference with 'rev' or 'narHash' is locked.",
            )
        if address:
            evaluator.allowed_uri(address)
        elif here:
            evaluator.allowed_uri(str(attributes["path"]))
        if evaluator.flakes is None:
            raise NixError(f"cannot read flake '{text}': this evaluation knows no flakes", hint="`invar eval` does.")
        return evaluator.flakes(evaluator, attributes)

    @bound.add("fetchClosure", 1)
    def fetch_closure(arguments: Value) -> Value:
        """Checks what is asked as Nix does. Invar keeps no closures out of Nix's binary caches: that it says."""
        given = expect_set(arguments)
        for name in sorted(given):
            if name not in ("fromPath", "fromStore", "inputAddressed", "toPath"):
                raise NixError(f"attribute '{name}' isn't supported in call to 'fetchClosure'")
        for name in ("fromPath", "fromStore"):
            if name not in given:
                raise NixError(f"attribute '{name}' is missing in call to 'fetchClosure'")
        path = str(coerce_to_string(given["fromPath"]))
        if not path.startswith(f"{evaluator.store_dir}/"):
            raise NixError(f"path '{path}' is not in the Nix store")
        store = str(expect_plain(given["fromStore"]))
        if not store.startswith(("http://", "https://")):
            raise NixError("'fetchClosure' only supports http:// and https:// stores")
        evaluator.allowed_uri(store)
        raise FetchError(
            f"cannot fetch the closure of '{path}' from '{store}': Invar has no binary caches of Nix",
            hint="`invar --engine nix` builds with Nix itself; packages of the native engine come from Debian.",
        )

    @bound.add("outputOf", 2)
    def output_of(derivation: Value, output: Value) -> str:
        """The path of a derivation's output; a placeholder where the derivation is itself an output."""
        text = coerce_to_string(whnf(derivation))
        wanted = str(expect_plain(output))
        element = _only_element(text)
        if element.startswith("!"):
            path = "/" + encode_base32(downstream_placeholder(element, wanted))
            return NixString(path, frozenset({f"!{wanted}!{element}"}))
        if str(text) != element:
            raise NixError(f"path string '{text}' has context with the different path '{element}'")
        found = evaluator.store_objects.get(element)
        if not isinstance(found, Derivation):
            raise NixError(f"path '{element}' is not a derivation of this evaluation")
        if wanted not in found.outputs:
            raise NixError(f"derivation '{element}' does not have output '{wanted}'")
        return NixString(found.outputs[wanted].path, frozenset({f"!{wanted}!{element}"}))

    return bound


def _only_element(text: str) -> str:
    """The one store path that a string refers to. Raises NixError."""
    context = context_of(text)
    if len(context) != 1:
        raise NixError(
            f"string '{text}' has {len(context)} entries in its context. It should only have exactly one entry"
        )
    (element,) = context
    if element.startswith("="):
        raise NixError(
            f"string '{text}' has a context which refers to a complete source and binary closure. "
            "This is not supported at this time",
            hint="`builtins.unsafeDiscardOutputDependency drv.drvPath` refers to the derivation alone.",
        )
    return element


def downstream_placeholder(derivation: str, output: str) -> bytes:
    """The SHA-256 that stands for an output whose path is not known yet.

    `derivation` is a store path of a `.drv`, or `!OUTPUT!DERIVATION` where it is itself an output. After
    `downstream-placeholder.hh` of Nix's libstore.
    """
    if derivation.startswith("!"):
        _, name, inner = derivation.split("!", 2)
        folded = compress(downstream_placeholder(inner, name), 20)
        return hashlib.sha256(f"nix-computed-output:{encode_base32(folded)}:{output}".encode()).digest()
    file = derivation.rpartition("/")[2]
    name = output_name(file[33:].removesuffix(".drv"), output)
    return hashlib.sha256(f"nix-upstream-output:{file[:32]}:{name}".encode()).digest()
