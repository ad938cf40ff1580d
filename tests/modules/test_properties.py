"""Priorities, order, conditions and merges of definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Evaluate = Callable[[str], Any]


@pytest.mark.parametrize(
    ("definitions", "value"),
    [
        ("", 1),
        ("{ a = mkDefault 2; }", 2),
        ("{ a = mkOverride 1600 2; }", 1),
        ("{ a = mkDefault 2; } { a = 3; }", 3),
        ("{ a = 3; } { a = lib.mkImageMediaOverride 4; }", 4),
        ("{ a = lib.mkImageMediaOverride 4; } { a = mkForce 5; }", 5),
        ("{ a = mkForce 5; } { a = lib.mkVMOverride 6; }", 6),
        ("{ a = lib.mkVMOverride 6; } { a = mkOverride 5 7; }", 7),
        ("{ a = mkOverride 70 7; } { a = mkOverride 71 8; }", 7),
        ("{ a = mkForce 5; } { a = mkForce 5; }", 5),
        ("{ a = lib.mkOptionDefault 1; }", 1),
    ],
)
def test_the_lowest_priority_number_wins(evaluate: Evaluate, definitions: str, value: int) -> None:
    option = "{ options.a = mkOption { type = types.int; default = 1; }; }"
    assert evaluate(f"(config [ {option} {definitions} ]).a") == value


def test_priorities_have_nixos_numbers(evaluate: Evaluate) -> None:
    names = ["mkOptionDefault", "mkDefault", "mkImageMediaOverride", "mkForce", "mkVMOverride"]
    assert evaluate(f"[ {' '.join(f'(lib.{name} 1).priority' for name in names)} ]") == [1500, 1000, 60, 50, 10]
    assert evaluate("[ lib.modules.defaultOverridePriority lib.modules.defaultOrderPriority ]") == [100, 1000]
    assert evaluate("[ (mkBefore 1).priority (mkAfter 1).priority (mkOrder 7 1).priority ]") == [500, 1500, 7]


@pytest.mark.parametrize(
    ("definitions", "value"),
    [
        ("{ l = [ 1 ]; } { l = [ 2 ]; }", [2, 1]),
        ("{ l = [ 1 ]; } { l = [ 2 ]; } { l = [ 3 ]; }", [3, 2, 1]),
        ("{ l = mkBefore [ 1 ]; } { l = [ 2 ]; }", [1, 2]),
        ("{ l = [ 1 ]; } { l = mkAfter [ 2 ]; }", [1, 2]),
        ("{ l = mkAfter [ 1 ]; } { l = [ 2 ]; } { l = mkBefore [ 3 ]; }", [3, 2, 1]),
        ("{ l = mkOrder 1400 [ 1 ]; } { l = mkAfter [ 2 ]; } { l = mkOrder 1600 [ 0 ]; }", [1, 2, 0]),
        ("{ l = mkMerge [ [ 1 ] [ 2 ] ]; }", [1, 2]),
        ("{ l = mkMerge [ [ 1 ] (mkBefore [ 2 ]) ]; }", [2, 1]),
        ("{ l = mkForce (mkAfter [ 1 ]); } { l = mkForce [ 2 ]; } { l = [ 3 ]; }", [2, 1]),
    ],
)
def test_order(evaluate: Evaluate, definitions: str, value: list[int]) -> None:
    assert evaluate(f"(config [ {{ options.l = ints; }} {definitions} ]).l") == value


def test_imported_modules_come_before_their_importer(evaluate: Evaluate) -> None:
    text = "(config [ { options.l = ints; } { imports = [ { l = [ 1 ]; } { l = [ 2 ]; } ]; l = [ 3 ]; } ]).l"
    assert evaluate(text) == [2, 1, 3]


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ("mkIf true { a = 1; }", {"a": 1, "g": {"b": 0}}),
        ("mkIf false { a = 1; }", {"a": 0, "g": {"b": 0}}),
        ("{ a = mkIf true 1; }", {"a": 1, "g": {"b": 0}}),
        ("{ g = mkIf true { b = 5; }; }", {"a": 0, "g": {"b": 5}}),
        ("mkIf true (mkIf false { a = 1; })", {"a": 0, "g": {"b": 0}}),
        ("mkMerge [ { a = 1; } (mkIf true { g.b = 2; }) ]", {"a": 1, "g": {"b": 2}}),
        ("mkForce { a = 1; g.b = 2; }", {"a": 1, "g": {"b": 2}}),
        ("{ config = mkMerge [ { a = mkDefault 1; } { a = 2; } ]; }", {"a": 2, "g": {"b": 0}}),
        ("mkIf true (mkMerge [ { a = mkIf true (mkMerge [ (mkDefault 3) ]); } ])", {"a": 3, "g": {"b": 0}}),
    ],
)
def test_properties_are_pushed_down(evaluate: Evaluate, definition: str, value: dict[str, Any]) -> None:
    option = "mkOption { type = types.int; default = 0; }"
    assert evaluate(f"config [ {{ options = {{ a = {option}; g.b = {option}; }}; }} ({definition}) ]") == value


def test_a_force_around_a_set_beats_plain_definitions_in_it(evaluate: Evaluate) -> None:
    assert evaluate("(config [ { options.g.b = int; } { g.b = 1; } { g = mkForce { b = 2; }; } ]).g.b") == 2


def test_a_losing_definition_is_not_evaluated(evaluate: Evaluate) -> None:
    assert evaluate('(config [ { options.a = int; } { a = mkDefault (throw "no"); } { a = 1; } ]).a') == 1


def test_a_false_condition_drops_attrs_of_but_not_lazy_attrs_of(evaluate: Evaluate) -> None:
    for kind, names in (("attrsOf", ["b"]), ("lazyAttrsOf", ["a", "b"])):
        option = f"{{ options.s = mkOption {{ type = types.{kind} types.int; }}; }}"
        text = f"builtins.attrNames (config [ {option} {{ s = {{ a = mkIf false 1; b = 2; }}; }} ]).s"
        assert evaluate(text) == names


def test_a_definition_replaces_the_default_even_when_lists_would_merge(evaluate: Evaluate) -> None:
    option = "{ options.l = mkOption { type = types.listOf types.int; default = [ 9 ]; }; }"
    assert evaluate(f"(config [ {option} {{ l = [ 1 ]; }} ]).l") == [1]


def test_a_list_element_can_be_conditional(evaluate: Evaluate) -> None:
    assert evaluate("(config [ { options.l = ints; } { l = [ 1 (mkIf false 2) (mkIf true 3) ]; } ]).l") == [1, 3]


def test_the_parts_can_be_called_by_themselves(evaluate: Evaluate) -> None:
    assert evaluate("lib.modules.dischargeProperties (mkMerge [ 1 (mkIf false 2) (mkIf true 3) ])") == [1, 3]
    assert evaluate("lib.modules.dischargeProperties (mkForce 1)") == [
        {"_type": "override", "priority": 50, "content": 1}
    ]
    pushed = "lib.modules.pushDownProperties (mkIf true (mkMerge [ { a = 1; } { b = 2; } ]))"
    assert [sorted(one) for one in evaluate(pushed)] == [["a"], ["b"]]
    merged = 'lib.mergeDefinitions [ "x" ] types.int [ { file = "f"; value = mkForce 3; } { file = "g"; value = 4; } ]'
    assert evaluate(f"({merged}).mergedValue") == 3
