"""What users are told: each message names the definitions with file and line, the declaration, and a way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from invar.nix.errors import NixError

Failure = Callable[[str], NixError]


def test_unknown_option(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "m.nix").write_text("{\n  services.ngnix.enable = true;\n}\n")
    text = f'config [ {{ options.services.nginx.enable = lib.mkEnableOption "x"; }} {tmp_path}/m.nix ]'
    error = failure(text)
    assert error.message == (
        f"The option `services.ngnix' does not exist. Definition values:\n- In `{tmp_path}/m.nix:2': "
        "{ enable = true; }"
    )
    assert error.hint == "did you mean `services.nginx'?"
    assert (error.pos.file, error.pos.line) == (f"{tmp_path}/m.nix", 2)  # type: ignore[union-attr]


def test_unknown_options_are_named_together(failure: Failure) -> None:
    error = failure("config [ { options.a.one = int; } { a.two = 1; b = 2; a.three = 3; } ]")
    assert error.message.startswith("The option `")
    assert "Neither do: " in error.message
    assert all(f"`{name}'" in error.message for name in ("a.two", "b", "a.three"))


def test_an_option_of_that_name_elsewhere_is_offered(failure: Failure) -> None:
    error = failure('config [ { options.networking.hostName = str; } { hostName = "x"; } ]')
    assert error.hint == "did you mean `networking.hostName'?"


def test_no_options_at_all(failure: Failure) -> None:
    error = failure("config [ { a = 1; } ]")
    assert error.hint == "no options are declared here: import the module that declares them"


def test_unknown_option_in_a_submodule(failure: Failure) -> None:
    text = "config [ { options.u = mkOption { type = types.attrsOf (types.submodule { options.home = str; }); }; } "
    error = failure(text + '{ u.me.hom = "x"; } ]')
    assert "The option `u.me.hom' does not exist" in error.message
    assert error.hint == "did you mean `u.me.home'?"


def test_wrong_type_shows_definition_and_declaration(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "decl.nix").write_text(
        "{ lib, ... }:\n{\n  options.port = lib.mkOption { type = lib.types.port; };\n}\n"
    )
    (tmp_path / "def.nix").write_text('{\n\n  port = "80";\n}\n')
    error = failure(f"config [ {tmp_path}/decl.nix {tmp_path}/def.nix ]")
    assert error.message == (
        "A definition for option `port' is not of type "
        "`16 bit unsigned integer; between 0 and 65535 (both inclusive)'. "
        f'Definition values:\n- In `{tmp_path}/def.nix:3\': "80"\n'
        f"The option is declared in `{tmp_path}/decl.nix:3'."
    )
    assert str(error.pos).startswith(f"{tmp_path}/def.nix:3:")


def test_wrong_type_of_a_list_element(failure: Failure) -> None:
    error = failure('config [ { options.l = ints; } { l = [ 1 "a" ]; } ]')
    assert "option `l.\"[definition 1-entry 2]\"' is not of type `signed integer'" in error.message
    assert "test.nix:" in error.message
    assert "The option is declared in `/test.nix:" in error.message


def test_wrong_type_of_an_attribute(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "def.nix").write_text("{\n  s = {\n    a = 1;\n    b = true;\n  };\n}\n")
    text = f"config [ {{ options.s = mkOption {{ type = types.attrsOf types.int; }}; }} {tmp_path}/def.nix ]"
    assert f"- In `{tmp_path}/def.nix:4': true" in failure(text).message


def test_conflicting_definitions_name_each(failure: Failure, tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        (tmp_path / f"{name}.nix").write_text(f"{{\n  a = {value};\n}}\n")
    error = failure(f"config [ {{ options.a = int; }} {tmp_path}/one.nix {tmp_path}/two.nix ]")
    assert error.message.startswith(
        "The option `a' has conflicting definition values:"
        f"\n- In `{tmp_path}/two.nix:2': 2\n- In `{tmp_path}/one.nix:2': 1\nThe option is declared in `/test.nix:"
    )
    assert "mkForce" in str(error.hint)


def test_a_value_that_must_be_unique(failure: Failure) -> None:
    error = failure("config [ { options.a = mkOption { type = types.raw; }; } { a = 1; } { a = 2; } ]")
    assert "The option `a' is defined multiple times while it's expected to be unique." in error.message
    unique = 'types.unique { message = "There can be only one."; } types.int'
    error = failure(f"config [ {{ options.a = mkOption {{ type = {unique}; }}; }} {{ a = 1; }} {{ a = 1; }} ]")
    assert "There can be only one." in error.message


def test_null_and_not_null(failure: Failure) -> None:
    option = "{ options.a = mkOption { type = types.nullOr types.int; }; }"
    error = failure(f'config [ {option} {{ _file = "one"; a = null; }} {{ _file = "two"; a = 1; }} ]')
    assert "The option `a' is defined both null and not null, in `two' and `one'." in error.message


def test_used_but_not_defined(failure: Failure, tmp_path: Path) -> None:
    options = "  options.a = lib.mkOption { };\n  options.b = lib.mkOption { default = config.a; };\n"
    (tmp_path / "m.nix").write_text("{ lib, config, ... }:\n{\n" + options + "}\n")
    error = failure(f"(config [ {tmp_path}/m.nix ]).b")
    assert error.message == f"The option `a' is used but not defined.\nThe option is declared in `{tmp_path}/m.nix:3'."
    assert "while evaluating the option `b'" in [frame.text for frame in error.frames]


def test_read_only_set_twice(failure: Failure) -> None:
    option = "{ options.a = mkOption { type = types.int; readOnly = true; default = 1; }; }"
    error = failure(f"config [ {option} {{ a = 2; }} ]")
    assert "The option `a' is read-only, but it's set multiple times." in error.message
    assert error.message.count("\n- In ") == 2


def test_declared_twice(failure: Failure) -> None:
    one, two = ('{ _file = "one.nix"; options.a = %s; }', '{ _file = "two.nix"; options.a = %s; }')
    option = 'mkOption { type = types.int; description = "x"; }'
    error = failure(f"config [ ({one % option}) ({two % option}) ]")
    assert "The option `a' in " in error.message
    assert "is already declared in" in error.message
    assert "one.nix" in error.message
    assert "two.nix" in error.message
    assert "`description'" in error.message
    error = failure(f"config [ ({one % 'int'}) ({two % 'str'}) ]")
    assert "with a type that cannot be merged" in error.message


def test_an_option_above_options(failure: Failure) -> None:
    error = failure("config [ { options.a = int; } { options.a.b = int; } ]")
    assert "would be a parent of the following options, but its type `signed integer' does not support" in error.message
    assert "option(s) with prefix `a.b'" in error.message


def test_infinite_recursion_names_the_options(failure: Failure) -> None:
    modules = "({ config, ... }: { options = { a = int; b = int; }; config = { a = config.b; b = config.a; }; })"
    text = f"(config [ {modules} ]).a"
    error = failure(text)
    assert "infinite recursion" in error.message
    assert error.hint in (
        "the value of the option `a' depends on itself",
        "the value of the option `b' depends on itself",
    )
    frames = " ".join(frame.text for frame in error.frames)
    assert "the option `a'" in frames
    assert "the option `b'" in frames


def test_infinite_recursion_of_conditional_definitions(failure: Failure) -> None:
    text = "(config [ ({ config, ... }: { options.a = int; config = if config.a == 1 then { a = 1; } else { }; }) ]).a"
    error = failure(text)
    assert "infinite recursion" in error.message
    assert "mkIf" in str(error.hint)


def test_infinite_recursion_of_imports(failure: Failure) -> None:
    text = "(config [ ({ config, ... }: { options.a = int; imports = if config.a == 1 then [ ] else [ { } ]; }) ]).a"
    error = failure(text)
    assert "`imports' of a module depend on `config'" in error.message
    assert "specialArgs" in str(error.hint)


def test_an_argument_that_imports_need_is_named(failure: Failure) -> None:
    error = failure('config [ ({ modulesPath, ... }: { imports = [ "${modulesPath}/x.nix" ]; }) ]')
    assert "`imports' depend on the module argument `modulesPath'" in error.message


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("1", "is an integer, but a module is a set, a function or a path to one"),
        ("[ { } ]", "Module imports can't be nested lists"),
        ("(x: 1)", "does not look like a module: it evaluates to an integer"),
        ("(mkOption { })", "is an option declaration, not a module"),
        ("types.int", "is an option type, not a module"),
        ("(eval [ ])", "is a whole evaluated configuration, not a module"),
        ('"relative/path.nix"', "is no absolute path"),
        ("/does/not/exist.nix", "/does/not/exist.nix"),
        ("{ imports = 1; }", "`imports' of the module"),
        ("{ config = 1; }", "`config' of the module"),
        ("{ options = 1; }", "`options' is an integer: expected an option or a set of options"),
        ("{ options.a = 1; config.a = 2; }", "`options.a' is an integer: expected an option or a set of options"),
        ("{ options.a.b = int; config.a = 2; }", "rather than an attribute set for the option `a'"),
        ("{ options.a = mkOption { type = 1; }; }", "an option type was expected as `type' of the option `a'"),
        (
            "{ options.a = mkOption { type = types.listOf 1; }; }",
            "type was expected as argument of `types.listOf'",
        ),
        ("{ options.a = mkOption { typ = 1; }; }", "mkOption called with unexpected argument `typ'"),
        ("({ nothing, ... }: { a = nothing; options.a = int; })", "unsupported attribute `a'"),
        ("({ nothing, ... }: { options.a = int; config.a = nothing; })", "module argument `nothing'"),
        ("{ options.a = int; config.a = mkIf 1 2; }", "mkIf called with a non-Boolean condition"),
        ('{ _class = "home"; }', 'cannot be imported into a module evaluation that expects class "nixos"'),
        ("{ disabledModules = [ { } ]; }", "`disabledModules' of the module"),
    ],
)
def test_what_is_no_module(failure: Failure, module: str, message: str) -> None:
    text = f'builtins.deepSeq (lib.evalModules {{ class = "nixos"; modules = [ {module} ]; }}).config 1'
    assert message in failure(text).message


def test_a_module_argument_is_suggested(failure: Failure) -> None:
    text = "config [ { _module.args.pkgs = 1; } ({ pkg, ... }: { options.a = int; config.a = pkg; }) ]"
    error = failure(text)
    assert "Did you mean `pkgs'?" in error.message


def test_an_attribute_beside_options_is_explained(failure: Failure) -> None:
    error = failure("config [ { options.a = int; a = 1; } ]")
    assert "unsupported attribute `a'" in error.message
    assert error.hint == "move `a' into the `config' attribute"


def test_a_condition_inside_a_force_is_explained(failure: Failure) -> None:
    error = failure("config [ { options.a = int; } { a = mkForce (mkIf true 1); } ]")
    assert "is not of type" in error.message
    assert "put them outside" in str(error.hint)


def test_errors_can_be_caught_as_throws_are(evaluate: Callable[[str], object]) -> None:
    assert evaluate('(builtins.tryEval (config [ { options.a = int; } { a = "x"; } ]).a).success') is False


def test_a_long_value_stays_on_one_screen(failure: Failure) -> None:
    error = failure("config [ { options.a = int; } { a = lib.range 1 1000; } ]")
    assert len(error.message.splitlines()) < 12
    assert max(map(len, error.message.splitlines())) < 200


def test_a_failing_value_shows_as_error(failure: Failure) -> None:
    error = failure('config [ { options.a = int; } { a = [ (throw "inner") 1 ]; } ]')
    assert "[ <error> 1 ]" in error.message


def test_errors_in_values_name_the_option(failure: Failure) -> None:
    error = failure('(config [ { options.g.a = int; } { g.a = throw "boom"; } ]).g.a')
    assert error.message == "boom"
    assert "while evaluating the option `g.a'" in [frame.text for frame in error.frames]
