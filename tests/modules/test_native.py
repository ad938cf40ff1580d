"""The module system called from Python."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.modules.constructors import make_option, override
from invar.modules.errors import OptionError
from invar.modules.merge import merge_definitions
from invar.modules.native import eval_modules, evaluator_with_modules
from invar.modules.properties import Definition
from invar.modules.types.containers import ListOf
from invar.modules.types.scalars import int_type
from invar.nix.runtime import deep_force, force
from invar.nix.stack import with_big_stack
from invar.nix.values import Primop, Value


def test_modules_may_be_python_values() -> None:
    evaluator = evaluator_with_modules()
    declaring = {"options": {"a": make_option({"type": int_type.value()}), "b": make_option({})}}
    using = Primop("module", 1, lambda arguments: {"b": force(arguments["special"])})
    evaluated = with_big_stack(lambda: eval_modules(evaluator, [declaring, using, {"a": 1}], {"special": 2}))
    assert with_big_stack(lambda: deep_force(evaluated.config)) == {"a": 1, "b": 2}
    assert with_big_stack(lambda: sorted(force(evaluated.options))) == ["_module", "a", "b"]


def test_a_prefix_stands_before_every_path() -> None:
    evaluated = eval_modules(evaluator_with_modules(), [{"options": {"a": make_option({})}}], {}, prefix=("x", "y"))
    with pytest.raises(OptionError, match=r"The option `x\.y\.a' is used but not defined"):
        with_big_stack(lambda: deep_force(evaluated.config))


Property = tuple[int, int, bool]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from([10, 50, 100, 1000]), st.sampled_from([500, 1000, 1500]), st.booleans())))
def test_lists_merge_as_priority_order_and_conditions_say(properties: list[Property]) -> None:
    """Of the definitions whose condition holds, those of the lowest priority remain, stably sorted by order."""

    def definition(number: int, priority: int, order: int, condition: bool) -> Definition:
        ordered: Value = {"_type": "order", "priority": order, "content": [number]}
        return Definition("f", {"_type": "if", "condition": condition, "content": override(priority, ordered)})

    definitions = [definition(number, *one) for number, one in enumerate(properties)]
    merged = merge_definitions(("l",), ListOf(int_type), definitions)
    holding = [(number, priority, order) for number, (priority, order, holds) in enumerate(properties) if holds]
    strongest = min((priority for _, priority, _ in holding), default=None)
    expected = sorted((one for one in holding if one[1] == strongest), key=lambda one: one[2])
    assert merged.is_defined == bool(expected)
    if expected:
        assert deep_force(merged.value()) == [number for number, _, _ in expected]
        assert merged.highest_priority == strongest
