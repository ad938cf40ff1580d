"""`parseFlakeRef` and `flakeRefToString`: flake references between their URL and their attributes."""

from __future__ import annotations

from invar.nix.builtins.fetchers import tree_attributes
from invar.nix.builtins.registry import Registry
from invar.nix.errors import NixError
from invar.nix.runtime import expect_plain, expect_set
from invar.nix.values import Value

primops = Registry()


@primops.add("parseFlakeRef", 1)
def parse_flake_ref(url: Value) -> dict[str, Value]:
    """The attributes of `github:owner/repo/ref?dir=lib` and the like."""
    from invar.nix.input_urls import parse_input_url  # few expressions need it

    return dict(sorted(parse_input_url(str(expect_plain(url))).items()))


@primops.add("flakeRefToString", 1)
def flake_ref_to_string(attributes: Value) -> str:
    """The other way round."""
    from invar.nix.input_urls import format_input

    given = tree_attributes(expect_set(attributes), "flakeRefToString", None)
    try:
        return format_input(given)
    except KeyError as missing:
        raise NixError(f"attribute {missing} is missing in call to 'flakeRefToString'") from None
