"""Modules: imports, keys, arguments, shorthand, freeform, extension; and what stays unevaluated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Evaluate = Callable[[str], Any]


def test_a_module_is_a_set_a_function_or_a_path(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "m.nix").write_text("{ lib, ... }: { options.a = lib.mkOption { default = 1; }; }")
    assert evaluate(f"(config [ {tmp_path}/m.nix ]).a") == 1
    assert evaluate(f'(config [ "{tmp_path}/m.nix" ]).a') == 1
    assert evaluate("(config [ ({ lib, ... }: { options.a = lib.mkOption { default = 2; }; }) ]).a") == 2


def test_a_directory_is_its_default_nix(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "default.nix").write_text("{ lib, ... }: { options.a = lib.mkOption { default = 1; }; }")
    assert evaluate(f"(config [ {tmp_path} ]).a") == 1


def test_a_file_imported_twice_counts_once(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "m.nix").write_text("{ l = [ 1 ]; }")
    (tmp_path / "n.nix").write_text("{ imports = [ ./m.nix ./m.nix ]; }")
    assert evaluate(f"(config [ {{ options.l = ints; }} {tmp_path}/m.nix {tmp_path}/n.nix ]).l") == [1]


def test_files_may_import_each_other(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "m.nix").write_text("{ imports = [ ./n.nix ]; l = [ 1 ]; }")
    (tmp_path / "n.nix").write_text("{ imports = [ ./m.nix ]; l = [ 2 ]; }")
    assert evaluate(f"(config [ {{ options.l = ints; }} {tmp_path}/m.nix ]).l") == [2, 1]


def test_modules_with_one_key_count_once(evaluate: Evaluate) -> None:
    assert evaluate('(config [ { options.l = ints; } { key = "k"; l = [ 1 ]; } { key = "k"; l = [ 2 ]; } ]).l') == [1]


def test_disabled_modules_are_left_out(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "m.nix").write_text("{ imports = [ { l = [ 7 ]; } ]; l = [ 1 ]; }")
    for disabled in (f"{tmp_path}/m.nix", f'"{tmp_path}/m.nix"', f"{{ key = {tmp_path}/m.nix; }}", '"m.nix"'):
        modules = f"[ {{ options.l = ints; }} {tmp_path}/m.nix {{ disabledModules = [ {disabled} ]; }} ]"
        text = f"(lib.evalModules {{ specialArgs.modulesPath = {tmp_path}; modules = {modules}; }}).config.l"
        assert evaluate(text) == [], disabled


def test_arguments_come_from_special_args_and_module_args(evaluate: Evaluate) -> None:
    text = """(lib.evalModules {
      specialArgs.special = 1;
      modules = [
        { options.a = int; options.b = int; options.c = int; config._module.args.given = 2; }
        ({ special, given, config, ... }: { a = special; b = given; c = config.a + config.b; })
      ];
    }).config"""
    assert evaluate(text) == {"a": 1, "b": 2, "c": 3}


def test_imports_may_depend_on_special_args(evaluate: Evaluate) -> None:
    text = """(lib.evalModules {
      specialArgs.flag = true;
      modules = [ { options.a = int; } ({ flag, lib, ... }: { imports = lib.optional flag { a = 1; }; }) ];
    }).config.a"""
    assert evaluate(text) == 1


def test_config_is_a_lazy_fixed_point(evaluate: Evaluate) -> None:
    text = """config [
      ({ config, ... }: { options.a = int; config.a = config.b + 1; })
      ({ config, ... }: { options.b = int; config = mkIf (config.c == 3) { b = 10; }; })
      { options.c = int; options.bad = int; config.c = 3; }
    ]"""
    assert evaluate(f"let c = {text}; in [ c.a c.b ]") == [11, 10]


def test_options_do_not_force_config(evaluate: Evaluate) -> None:
    text = 'builtins.attrNames (eval [ { options.a = int; } { a = throw "no"; } ]).options'
    assert evaluate(text) == ["_module", "a"]


def test_a_module_may_ask_whether_an_option_exists(evaluate: Evaluate) -> None:
    text = """config [
      { options.a = int; }
      ({ options, lib, ... }: { config = mkMerge [ { a = 1; } (lib.optionalAttrs (options ? nope) { nope = 1; }) ]; })
    ]"""
    assert evaluate(text) == {"a": 1}


def test_shorthand_takes_imports_and_definitions_together(evaluate: Evaluate) -> None:
    assert evaluate("(config [ { imports = [ { options.a = int; } ]; a = 3; } ]).a") == 3


def test_freeform_takes_what_has_no_option(evaluate: Evaluate) -> None:
    text = """config [ {
      freeformType = types.attrsOf (types.attrsOf types.int);
      options.g.a = mkOption { type = types.int; default = 1; };
      config = { g.b = 2; h.c = mkIf true 3; h.d = mkIf false 4; };
    } ]"""
    assert evaluate(text) == {"g": {"a": 1, "b": 2}, "h": {"c": 3}}


def test_checking_can_be_switched_off(evaluate: Evaluate) -> None:
    text = "config [ { options.a = int; config._module.check = false; } { a = 1; b = 2; } ]"
    assert evaluate(text) == {"a": 1}


def test_an_evaluation_can_be_extended(evaluate: Evaluate) -> None:
    base = "{ options.a = int; config.a = mkDefault 1; }"
    assert evaluate(f"((eval [ {base} ]).extendModules {{ modules = [ {{ a = 2; }} ]; }}).config.a") == 2
    text = f"""(config [ {base} ({{ extendModules, ... }}: {{
      options.b = mkOption {{ }};
      config.b = (extendModules {{ modules = [ {{ a = 5; b = mkForce 0; }} ]; }}).config.a;
    }}) ]).b"""
    assert evaluate(text) == 5


def test_an_evaluation_is_a_type(evaluate: Evaluate) -> None:
    text = """let inner = eval [ { options.a = mkOption { type = types.int; default = 1; }; } ]; in
      config [ { options.s = mkOption { type = types.attrsOf inner.type; }; config.s = { x = { }; y.a = 2; }; } ]"""
    assert evaluate(text) == {"s": {"x": {"a": 1}, "y": {"a": 2}}}


def test_a_class_is_passed_on(evaluate: Evaluate) -> None:
    text = '(lib.evalModules { class = "nixos"; modules = [ { _class = "nixos"; } { _class = null; } ]; }).class'
    assert evaluate(text) == "nixos"


def test_the_options_tree_tells_everything(evaluate: Evaluate) -> None:
    text = """let o = (eval [
        { _file = "decl.nix"; options.a.b = mkOption {
            type = types.int; default = 1; defaultText = "one"; description = "d"; example = 2; }; }
        { _file = "def.nix"; a.b = mkForce 3; }
        { _file = "weak.nix"; a.b = 4; }
      ]).options.a.b;
      in { inherit (o) value isDefined definitions files loc highestPrio declarations default defaultText description
        example; type = o.type.name; text = "${o}"; inherit (o) definitionsWithLocations; kind = o._type;
        inherit (builtins.head o.declarationPositions) file; }"""
    assert evaluate(text) == {
        "value": 3,
        "isDefined": True,
        "definitions": [3],
        "files": ["def.nix"],
        "definitionsWithLocations": [{"file": "def.nix", "value": 3}],
        "loc": ["a", "b"],
        "highestPrio": 50,
        "declarations": ["decl.nix"],
        "default": 1,
        "defaultText": "one",
        "description": "d",
        "example": 2,
        "type": "int",
        "kind": "option",
        "text": "a.b",
        "file": "/test.nix",
    }


def test_an_undefined_option_is_not_defined(evaluate: Evaluate) -> None:
    assert evaluate("(options [ { options.a = int; } ]).a.isDefined") is False


def test_apply_transforms_the_merged_value(evaluate: Evaluate) -> None:
    option = "mkOption { type = types.listOf types.int; apply = l: lib.length l; }"
    assert evaluate(f"(config [ {{ options.l = {option}; }} {{ l = [ 1 ]; }} {{ l = [ 2 ]; }} ]).l") == 2


def test_declarations_in_two_modules_merge(evaluate: Evaluate) -> None:
    text = """config [
      { options.e = mkOption { type = types.enum [ "a" ]; description = "x"; }; }
      { options.e = mkOption { type = types.enum [ "b" ]; default = "b"; }; }
    ]"""
    assert evaluate(text) == {"e": "b"}


def test_options_below_a_submodule_option_join_it(evaluate: Evaluate) -> None:
    text = """config [
      { options.s = mkOption { type = types.submodule { options.a = int; }; }; }
      { options.s.b = int; config.s = { a = 1; b = 2; }; }
    ]"""
    assert evaluate(text) == {"s": {"a": 1, "b": 2}}


def test_an_option_without_type_merges_by_kind(evaluate: Evaluate) -> None:
    cases = {"[ 1 ]": "[ 2 ]", "{ a = 1; }": "{ b = 2; }", '"x"': '"y"', "true": "false", "3": "3"}
    values = [
        evaluate(f"(config [ {{ options.a = mkOption {{ }}; }} {{ a = {one}; }} {{ a = {two}; }} ]).a")
        for one, two in cases.items()
    ]
    assert values == [[2, 1], {"a": 1, "b": 2}, "yx", True, 3]


def test_renamed_options_pass_definitions_on(evaluate: Evaluate) -> None:
    text = """(config [
      { options.new.a = ints; options.warnings = mkOption { type = types.listOf types.str; default = [ ]; }; }
      (lib.mkRenamedOptionModule [ "old" "a" ] [ "new" "a" ])
      { _file = "user.nix"; old.a = [ 1 ]; }
    ])"""
    assert evaluate(f"{text}.new.a") == [1]
    [warning] = evaluate(f"{text}.warnings")
    assert "`old.a' defined in `user.nix' has been renamed to `new.a'" in warning


def test_renamed_options_keep_the_priority(evaluate: Evaluate) -> None:
    text = """(config [
      { options.new = int; config.new = 1; }
      (lib.mkAliasOptionModule [ "old" ] [ "new" ])
      { old = mkForce 2; }
    ])"""
    assert evaluate(f"[ {text}.new {text}.old ]") == [2, 2]


def test_removed_options_fail_an_assertion(evaluate: Evaluate) -> None:
    text = """(config [
      { options.assertions = mkOption { type = types.listOf types.unspecified; default = [ ]; }; }
      (lib.mkRemovedOptionModule [ "old" ] "Use something else.")
      { _file = "user.nix"; old = 1; }
    ]).assertions"""
    [found] = evaluate(text)
    assert found["assertion"] is False
    assert "`old' in `user.nix' no longer has any effect" in found["message"]
    assert "Use something else." in found["message"]


def test_aliases_and_derived_definitions(evaluate: Evaluate) -> None:
    text = """config [
      { options = { a = int; b = int; c = int; }; config.a = mkForce 4; }
      ({ options, ... }: { b = lib.mkAliasDefinitions options.a; c = lib.mkDerivedConfig options.a (x: x + 1); })
    ]"""
    assert evaluate(text) == {"a": 4, "b": 4, "c": 5}


def test_changed_options_are_computed_from_the_old(evaluate: Evaluate) -> None:
    text = """(config [
      { options.new = int; options.warnings = mkOption { type = types.listOf types.str; }; }
      (lib.mkChangedOptionModule [ "old" ] [ "new" ] (config: config.old * 2))
      { old = 4; }
    ]).new"""
    assert evaluate(text) == 8


def test_packages_are_options_with_a_default(evaluate: Evaluate) -> None:
    pkgs = '{ hello = { type = "derivation"; name = "hello"; outPath = "/x"; }; }'
    assert evaluate(f'(config [ {{ options.p = lib.mkPackageOption {pkgs} "hello" {{ }}; }} ]).p.name') == "hello"
    assert evaluate(f'(lib.mkPackageOption {pkgs} "hello" {{ }}).defaultText.text') == "pkgs.hello"
    option = f'lib.mkPackageOption {pkgs} "other" {{ nullable = true; default = null; }}'
    assert evaluate(f"(config [ {{ options.p = {option}; }} ]).p") is None


def test_enable_options_are_false(evaluate: Evaluate) -> None:
    text = 'let o = (options [ { options.e = lib.mkEnableOption "it"; } ]).e; in [ o.value o.description o.example ]'
    assert evaluate(text) == [False, "Whether to enable it.", True]
