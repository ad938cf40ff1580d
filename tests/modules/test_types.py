"""The types: what they accept, how they merge, how they describe themselves and join."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from invar.modules.errors import OptionError

Evaluate = Callable[[str], Any]

STORED = "/nix/store/d945ibfx9x185xf04b890y4f9g3cbb63-hello-1.0"

CHECKS = [
    ("anything", ["1", "x: x"], []),
    ("attrs", ["{ }"], ["[ ]"]),
    ("attrsOf types.int", ["{ }"], ["1"]),
    ("bool", ["true"], ["1", "null"]),
    ("boolByOr", ["false"], ["1"]),
    ("coercedTo types.int toString types.str", ["1", '"a"'], ["true"]),
    ("commas", ['"a"'], ["1"]),
    ("deferredModule", ["{ }", "x: x", "/m.nix"], ["1"]),
    ("either types.int types.str", ["1", '"a"'], ["true"]),
    ('enum [ "a" 1 null ]', ['"a"', "1", "null"], ['"b"', "2", "true"]),
    ("externalPath", ['"/etc/x"'], [f'"{STORED}"', '"x"']),
    ("float", ["1.5"], ["1"]),
    ("functionTo types.int", ["x: x", "{ __functor = s: x: x; }"], ["1"]),
    ("int", ["-1"], ["1.0", "true", '"1"']),
    ("ints.between 1 3", ["1", "3"], ["0", "4"]),
    ("ints.positive", ["1"], ["0"]),
    ("ints.s8", ["-128", "127"], ["-129", "128"]),
    ("ints.u16", ["65535"], ["65536", "-1"]),
    ("ints.unsigned", ["0"], ["-1"]),
    ("lazyAttrsOf types.int", ["{ }"], ["1"]),
    ("lines", ['"a"'], ["1"]),
    ("listOf types.int", ["[ ]"], ["{ }"]),
    ("luaInline", ['lib.mkLuaInline "x"'], ['"x"']),
    ("nonEmptyListOf types.int", ["[ 1 ]"], ["[ ]"]),
    ("nonEmptyStr", ['"a"'], ['""', '" "']),
    ("nullOr types.int", ["null", "1"], ['"a"']),
    ("number", ["1", "1.5"], ['"1"']),
    ("numbers.between 0.5 2", ["1", "0.5"], ["2.1"]),
    ("numbers.nonnegative", ["0", "0.1"], ["-1"]),
    ("numbers.positive", ["0.1"], ["0"]),
    ("oneOf [ types.int types.bool types.str ]", ["1", "true", '"a"'], ["null"]),
    ("optionType", ["types.int"], ["{ }"]),
    ("package", ['{ type = "derivation"; }', f'"{STORED}"'], ['"/nix/store"', "1"]),
    ("passwdEntry types.str", ['"a b"'], ['"a:b"', '"a\\nb"']),
    ("path", ["/x", '"/x"', '{ outPath = "/x"; }'], ['"x"', "1"]),
    ("pathInStore", [f'"{STORED}/bin"'], ['"/etc"', '"/nix/store/.links"']),
    ("pathWith { absolute = false; }", ['"x"'], ['"/x"']),
    ("pkgs", ['{ _type = "pkgs"; }'], ["{ }"]),
    ("port", ["0", "65535"], ["65536"]),
    ("raw", ["1", "x: x"], []),
    ('separatedString "-"', ['"a"'], ["1"]),
    ("shellPackage", ['{ type = "derivation"; shellPath = "/x"; }'], ['{ type = "derivation"; }']),
    ("singleLineStr", ['"a"', '"a\\n"'], ['"a\\nb"']),
    ("str", ['"a"'], ["/x", "1"]),
    ('strMatching "[a-z]+"', ['"abc"'], ['"abc1"', '""', "1"]),
    ("submodule { }", ["{ }", "x: x"], ["1", "[ ]"]),
    ("uniq types.int", ["1"], ['"a"']),
    ("unspecified", ["1"], []),
    ("addCheck types.int (x: x > 2)", ["3"], ["2", '"a"']),
    ("attrTag { a = int; b = str; }", ["{ a = 1; }"], ["{ c = 1; }", "{ a = 1; b = 2; }", "1"]),
]


@pytest.mark.parametrize(("type_", "good", "bad"), CHECKS, ids=[case[0] for case in CHECKS])
def test_check(evaluate: Evaluate, type_: str, good: list[str], bad: list[str]) -> None:
    checks = evaluate(f"map (types.{type_}).check [ {' '.join(f'({value})' for value in good + bad)} ]")
    assert checks == [True] * len(good) + [False] * len(bad)


MERGES = [
    ("anything", ["{ a.b = 1; }", "{ a.c = 2; }"], {"a": {"b": 1, "c": 2}}),
    ("anything", ["1", "1"], 1),
    ("attrs", ["{ a = 1; b = 1; }", "{ a = 2; }"], {"a": 1, "b": 1}),
    ("attrsOf types.int", ["{ a = 1; }", "{ b = 2; }"], {"a": 1, "b": 2}),
    ("attrsOf (types.listOf types.int)", ["{ a = [ 1 ]; }", "{ a = [ 2 ]; }"], {"a": [2, 1]}),
    ("bool", ["true", "true"], True),
    ("boolByOr", ["true", "false"], True),
    ("coercedTo types.int toString types.str", ["1", '"1"'], "1"),
    ("coercedTo types.int (x: [ x ]) (types.listOf types.int)", ["1", "[ 2 ]"], [2, 1]),
    ("commas", ['"a"', '"b"'], "b,a"),
    ("either (types.listOf types.int) types.str", ["[ 1 ]", "[ 2 ]"], [2, 1]),
    ("either types.int types.lines", ['"a"', '"b"'], "b\na"),
    ("envVar", ['"a"', '"b"'], "b:a"),
    ("lines", ['"a"', '"b"'], "b\na"),
    ("listOf (types.attrsOf types.int)", ["[ { a = 1; } ]", "[ { a = 2; } ]"], [{"a": 2}, {"a": 1}]),
    ("nullOr (types.listOf types.int)", ["[ 1 ]", "[ 2 ]"], [2, 1]),
    ("nullOr types.int", ["null", "null"], None),
    ("singleLineStr", ['"a\\n"'], "a"),
    ("str", ['"a"', '"a"'], "a"),
    ("attrTag { a = ints; b = str; }", ["{ a = [ 1 ]; }", "{ a = [ 2 ]; }"], {"a": [2, 1]}),
    ("nonEmptyListOf types.int", ["[ 1 ]", "[ 2 ]"], [2, 1]),
]


@pytest.mark.parametrize(("type_", "definitions", "value"), MERGES)
def test_merge(evaluate: Evaluate, type_: str, definitions: list[str], value: Any) -> None:
    modules = " ".join(f"{{ x = {definition}; }}" for definition in definitions)
    assert evaluate(f"(config [ {{ options.x = mkOption {{ type = types.{type_}; }}; }} {modules} ]).x") == value


def test_functions_merge_by_their_results(evaluate: Evaluate) -> None:
    for type_ in ("functionTo (types.listOf types.int)", "functionTo types.lines"):
        unit = "[ n ]" if "int" in type_ else "toString n"
        option = f"mkOption {{ type = types.{type_}; }}"
        text = f"config [ {{ options.f = {option}; }} {{ f = n: {unit}; }} {{ f = n: {unit}; }} ]"
        assert evaluate(f"({text}).f 1") == ([1, 1] if "int" in type_ else "1\n1")
    option = "mkOption { type = types.anything; }"
    anything = f"(config [ {{ options.f = {option}; }} {{ f = n: {{ a = n; }}; }} {{ f = n: {{ b = n; }}; }} ])"
    assert evaluate(f"{anything}.f 3") == {"a": 3, "b": 3}


def test_a_bare_store_path_becomes_a_package(evaluate: Evaluate) -> None:
    text = f'(config [ {{ options.p = mkOption {{ type = types.package; }}; config.p = "{STORED}"; }} ]).p'
    assert evaluate(f"let p = {text}; in [ p.name p.type (toString p) ]") == ["hello-1.0", "derivation", STORED]


@pytest.mark.parametrize(
    ("type_", "description"),
    [
        ("str", "string"),
        ("listOf types.str", "list of string"),
        ("listOf types.attrs", "list of (attribute set)"),
        ("nullOr (types.listOf types.str)", "null or (list of string)"),
        ("nullOr (types.either types.int types.str)", "null or signed integer or string"),
        ("listOf (types.either types.int types.str)", "list of (signed integer or string)"),
        ("attrsOf (types.submodule { })", "attribute set of (submodule)"),
        ("lazyAttrsOf types.int", "lazy attribute set of signed integer"),
        ("nonEmptyListOf types.str", "non-empty (list of string)"),
        ("port", "16 bit unsigned integer; between 0 and 65535 (both inclusive)"),
        ("ints.between 1 9", "integer between 1 and 9 (both inclusive)"),
        ("ints.positive", "positive integer, meaning >0"),
        ("either types.ints.positive types.str", "positive integer, meaning >0, or string"),
        ("listOf types.ints.unsigned", "list of (unsigned integer, meaning >=0)"),
        ('enum [ "a" 1 true ]', 'one of "a", 1, true'),
        ('enum [ "a" ]', 'value "a" (singular enum)'),
        ("enum [ ]", "impossible (empty enum)"),
        ("lines", 'strings concatenated with "\\n"'),
        ("functionTo types.str", "function that evaluates to a(n) string"),
        ("coercedTo types.int toString types.str", "string or signed integer convertible to it"),
        ("submodule { freeformType = types.attrsOf types.int; }", "open submodule of attribute set of signed integer"),
        ("passwdEntry types.str", "string, not containing newlines or colons"),
        ("package", "package"),
        ("path", "absolute path"),
        ("unspecified", "unspecified value"),
    ],
)
def test_descriptions(evaluate: Evaluate, type_: str, description: str) -> None:
    assert evaluate(f"(types.{type_}).description") == description


@pytest.mark.parametrize(
    ("left", "right", "joined"),
    [
        ('types.enum [ "a" ]', 'types.enum [ "b" ]', 'one of "a", "b"'),
        ("types.str", "types.str", "string"),
        ("types.str", "types.int", None),
        ("types.listOf types.str", "types.listOf types.str", "list of string"),
        ("types.listOf types.str", "types.listOf types.int", None),
        ("types.nullOr types.int", "types.nullOr types.int", "null or signed integer"),
        ("types.lines", "types.lines", 'strings concatenated with "\\n"'),
        ("types.lines", "types.commas", None),
        ("types.either types.int types.str", "types.either types.int types.str", "signed integer or string"),
        ("types.submodule { }", "types.submodule { }", "submodule"),
        ("types.coercedTo types.int toString types.str", "types.coercedTo types.int toString types.str", None),
        ("types.int", 'types.int // { description = "x"; }', "signed integer"),
        ("types.int", "types.ints.positive", None),
    ],
)
def test_types_of_two_declarations_join(evaluate: Evaluate, left: str, right: str, joined: str | None) -> None:
    text = f"let t = ({left}).typeMerge ({right}).functor; in if t == null then null else t.description"
    assert evaluate(text) == joined


def test_a_type_made_by_hand_works(evaluate: Evaluate) -> None:
    even = """types.mkOptionType {
      name = "even"; description = "even number";
      check = x: builtins.isInt x && lib.mod x 2 == 0;
      merge = loc: defs: lib.foldl' (sum: def: sum + def.value) 0 defs;
    }"""
    assert evaluate(f"(config [ {{ options.n = mkOption {{ type = {even}; }}; }} {{ n = 2; }} {{ n = 4; }} ]).n") == 6
    nested = f"(config [ {{ options.n = mkOption {{ type = types.listOf ({even}); }}; }} {{ n = [ 2 ]; }} ]).n"
    assert evaluate(nested) == [2]


def test_a_built_in_type_can_be_changed_with_an_update(evaluate: Evaluate) -> None:
    doubled = "(types.int // { merge = loc: defs: 2 * types.int.merge loc defs; })"
    assert evaluate(f"(config [ {{ options.n = mkOption {{ type = {doubled}; }}; }} {{ n = 4; }} ]).n") == 8
    assert evaluate(f"(types.listOf {doubled}).description") == "list of signed integer"


def test_submodules_know_their_name_and_their_options(evaluate: Evaluate) -> None:
    text = """config [ {
      options.users = mkOption { default = { }; type = types.attrsOf (types.submodule ({ name, config, ... }: {
        options.home = mkOption { type = types.str; default = "/home/${name}"; };
        options.shell = mkOption { type = types.str; };
        config.shell = mkIf (config.home != "/") (mkDefault "sh");
      })); };
      config.users = { a = { }; b.shell = "zsh"; };
    } { users.a.home = "/a"; } ]"""
    assert evaluate(text) == {"users": {"a": {"home": "/a", "shell": "sh"}, "b": {"home": "/home/b", "shell": "zsh"}}}


def test_submodules_take_functions_and_conditions(evaluate: Evaluate) -> None:
    text = """config [ {
      options.s = mkOption { type = types.submodule { options.a = int; options.l = ints; }; };
      config.s = { config, ... }: { a = lib.length config.l; };
    } { s.l = mkIf true [ 1 ]; } { s = { config, ... }: { config.l = mkBefore [ 2 ]; }; } ]"""
    assert evaluate(text) == {"s": {"a": 2, "l": [2, 1]}}


def test_submodule_with_takes_modules_that_declare(evaluate: Evaluate) -> None:
    text = """config [ {
      options.s = mkOption { type = types.submoduleWith {
        specialArgs.given = 7; modules = [ ({ given, ... }: { options.a = mkOption { default = given; }; }) ]; }; };
      config.s = { options.b = mkOption { default = 8; }; };
    } ]"""
    assert evaluate(text) == {"s": {"a": 7, "b": 8}}


def test_definitions_of_a_submodule_come_after_its_own(evaluate: Evaluate) -> None:
    text = """(config [ {
      options.s = mkOption { type = types.submodule { options.l = ints; config.l = [ 1 ]; }; };
      config.s.l = [ 2 ];
    } ]).s.l"""
    assert evaluate(text) == [1, 2]


def test_sub_options_are_listed_for_documentation(evaluate: Evaluate) -> None:
    text = """let o = (options [ { options.s = mkOption {
      type = types.attrsOf (types.submodule { options.a = int; }); }; } ]).s;
    in (o.type.getSubOptions o.loc).a.loc"""
    assert evaluate(text) == ["s", "<name>", "a"]


def test_deferred_modules_are_modules(evaluate: Evaluate) -> None:
    text = """let m = (config [ { options.m = mkOption { type = types.deferredModule; default = { }; }; }
        { m = { a = 1; }; } { m = { lib, ... }: { b = 2; }; } ]).m;
      in config [ { options = { a = int; b = int; }; } m ]"""
    assert evaluate(text) == {"a": 1, "b": 2}


def test_every_type_of_nixpkgs_is_there(evaluate: Evaluate) -> None:
    expected = """addCheck anything attrTag attrs attrsOf attrsWith bool boolByOr coercedTo commas defaultFunctor
      defaultTypeMerge deferredModule deferredModuleWith either enum envVar externalPath float functionTo int ints
      isOptionType isType lazyAttrsOf lines listOf loaOf luaInline mkOptionType nonEmptyListOf nonEmptyStr nullOr number
      numbers oneOf optionDescriptionPhrase optionType package passwdEntry path pathInStore pathWith pkgs port raw
      separatedString setType shellPackage singleLineStr str strMatching string submodule submoduleWith types uniq
      unique unspecified"""
    assert set(expected.split()) <= set(evaluate("builtins.attrNames types"))


def test_every_type_has_the_attributes_of_one(evaluate: Evaluate) -> None:
    wanted = (
        "_type name description check merge emptyValue getSubOptions getSubModules substSubModules typeMerge functor "
        "nestedTypes descriptionClass deprecationMessage"
    )
    for case in CHECKS:
        assert set(wanted.split()) <= set(evaluate(f"builtins.attrNames (types.{case[0]})")), case[0]


def test_a_type_may_contain_itself(evaluate: Evaluate) -> None:
    json = """
      let json = with types; nullOr (either bool (either (attrsOf json) (listOf json))) // { description = "JSON"; };
      in config [ { options.x = mkOption { type = json; }; }
        { x.a = [ true { b = null; } ]; } { x.c.d = mkIf true false; } ]
    """
    assert evaluate(f"({json}).x") == {"a": [True, {"b": None}], "c": {"d": False}}
    tree = """
      let tree = types.either types.bool (types.attrsOf tree) // { description = "tree"; };
      in config [ { options.x = mkOption { type = tree; }; } { x.a.b = { }; } { x.a.c = mkForce { }; } { x.a.d = 1; } ]
    """
    with pytest.raises(OptionError, match=r"x\.a\.d"):
        evaluate(f"builtins.deepSeq ({tree}).x 1")
    assert evaluate("let t = types.attrsOf t; in (types.listOf t).name") == "listOf"
