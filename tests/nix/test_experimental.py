"""Builtins of experimental features: absent without the feature, with Nix's checks and messages where it is on."""

from __future__ import annotations

import pytest

from invar.nix import Evaluator, NixError, NixMissingAttribute, NixRestricted, NixUndefined, force
from invar.nix.builtins.experimental import downstream_placeholder
from invar.nix.features import BUILTIN_FEATURES
from invar.nix.storepath import encode_base32

DERIVATION = """
  let
    drv = derivation { name = "foo"; builder = "b"; system = "s"; outputs = [ "out" "dev" ]; };
    path = builtins.unsafeDiscardOutputDependency drv.drvPath;
  in """


def evaluator(*features: str, pure: bool = False) -> Evaluator:
    return Evaluator(features=features, pure=pure)


@pytest.mark.parametrize(("name", "feature"), BUILTIN_FEATURES.items())
def test_a_builtin_is_there_with_its_feature_only(name: str, feature: str) -> None:
    assert evaluator().eval_string(f"builtins ? {name}") is False
    assert evaluator(feature).eval_string(f"builtins ? {name} && builtins.isFunction __{name}") is True
    for expression in (f"builtins.{name} 1", f"builtins.{name}"):
        with pytest.raises(NixMissingAttribute, match=f"attribute '{name}' missing") as caught:
            evaluator().eval_string(expression)
        assert f"--extra-experimental-features {feature}" in (caught.value.hint or "")
    with pytest.raises(NixUndefined, match=f"undefined variable '__{name}'"):
        evaluator().eval_string(f"__{name}")


def test_a_feature_does_not_come_out_of_the_cache(tmp_path: object) -> None:
    with pytest.raises(NixUndefined):
        Evaluator(cache_dir=str(tmp_path)).eval_string("__outputOf")
    assert Evaluator(cache_dir=str(tmp_path), features=["dynamic-derivations"]).eval_string("__outputOf") is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{ }", "attribute 'fromPath' is missing in call to 'fetchClosure'"),
        ('{ fromStore = "https://c.example"; }', "attribute 'fromPath' is missing in call to 'fetchClosure'"),
        ("{ fromPath = /nix/store/a; }", "attribute 'fromStore' is missing in call to 'fetchClosure'"),
        ("{ a = 1; }", "attribute 'a' isn't supported in call to 'fetchClosure'"),
        (
            '{ fromStore = "file:///c"; fromPath = /nix/store/a; }',
            "'fetchClosure' only supports http:// and https:// stores",
        ),
        ('{ fromStore = "https://c.example"; fromPath = /a; }', "path '/a' is not in the Nix store"),
    ],
)
def test_what_is_wrong_with_a_closure_is_told_in_nix_words(arguments: str, message: str) -> None:
    with pytest.raises(NixError) as caught:
        evaluator("fetch-closure").eval_string(f"builtins.fetchClosure {arguments}")
    assert caught.value.message == message


def test_placeholders_of_outputs_are_nix_own() -> None:
    """The values are those of Nix's unit test of downstream placeholders."""
    path = "/nix/store/g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-foo.drv"
    known = "0c6rn30q4frawknapgwq386zq358m8r6msvywcvc89n6m5p2dgbz"
    assert encode_base32(downstream_placeholder(path, "out")) == known
    nested = "0gn6agqxjyyalf0dpihgyf49xq5hqxgw100f0wydnj6yqrhqsb3w"
    assert encode_base32(downstream_placeholder(f"!out!{path}.drv", "out")) == nested


def test_an_output_that_is_known_is_its_path() -> None:
    found = evaluator("dynamic-derivations").eval_string(
        DERIVATION + '[ (builtins.outputOf path "dev" == "${drv.dev}")'
        ' (builtins.outputOf (builtins.outputOf path "out") "out")'
        ' (builtins.getContext (builtins.outputOf path "dev") == builtins.getContext "${drv.dev}") ]'
    )
    known, nested, context = (force(item) for item in found)
    assert known is True
    assert context is True
    assert len(nested) == 53
    assert nested.startswith("/")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('builtins.outputOf drv.drvPath "out"', "complete source and binary closure. This is not supported"),
        ('builtins.outputOf path "lib"', "does not have output 'lib'"),
        ('builtins.outputOf "plain" "out"', "string 'plain' has 0 entries in its context."),
        ('builtins.outputOf "${path}x" "out"', "has context with the different path"),
        (
            'derivation { name = "a"; system = "s"; builder = with builtins; outputOf (outputOf path "out") "out"; }',
            "an output of an output are not supported",
        ),
    ],
)
def test_what_is_wrong_with_an_output_is_told(call: str, message: str) -> None:
    with pytest.raises(NixError) as caught:
        evaluator("dynamic-derivations").eval_string(f"{DERIVATION} builtins.toJSON ({call})")
    assert message in caught.value.message


def test_flakes_are_read_by_absolute_reference_and_locked_in_pure_evaluation() -> None:
    with pytest.raises(NixError, match=r"flake reference '\./x' is not an absolute path"):
        evaluator("flakes").eval_string('builtins.getFlake "./x"')
    with pytest.raises(NixRestricted, match="cannot call 'getFlake' on unlocked flake reference '/x'"):
        evaluator("flakes", pure=True).eval_string('builtins.getFlake "/x"')
    with pytest.raises(NixError, match="this evaluation knows no flakes"):
        evaluator("flakes").eval_string('builtins.getFlake "/x"')


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("3", "cannot coerce an integer to a string"),
        ("{ }", "'url' argument required"),
        ("{ a = 1; }", "unsupported argument 'a' to 'fetchMercurial'"),
    ],
)
def test_what_is_wrong_with_a_mercurial_repository_is_told(argument: str, message: str) -> None:
    with pytest.raises(NixError) as caught:
        evaluator().eval_string(f"builtins.fetchMercurial {argument}")
    assert caught.value.message == message
    with pytest.raises(NixRestricted, match="'fetchMercurial' requires a Mercurial revision"):
        evaluator(pure=True).eval_string('builtins.fetchMercurial { url = "https://h.example"; rev = "default"; }')
