"""The interface that other rooms use: values in Python, forcing, calling, positions, purity, caches, Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.nix import (
    Evaluator,
    NixError,
    NixRestricted,
    NixString,
    Pos,
    Primop,
    Thunk,
    call,
    coerce_to_string,
    deep_force,
    delay,
    force,
    function_args,
    position_of,
    print_value,
    type_name,
    with_big_stack,
)
from invar.nix import Path as NixPath
from invar.nix import cache as code_cache
from invar.nix.precompile import precompile
from invar.nix.store_objects import Derivation, SourceObject, TextObject


def test_python_values_are_nix_values() -> None:
    given_value = {"a": [1, "x", None, True, 1.5], "f": Primop("f", 1, lambda x: force(x) + 1)}
    evaluator = Evaluator(extra_builtins={"given": given_value})
    assert evaluator.eval_string("builtins.given.f (builtins.head builtins.given.a)") == 2
    assert evaluator.eval_string("builtins.toJSON builtins.given.a") == '[1,"x",null,true,1.5]'


def test_calls_apply_one_argument_after_the_other() -> None:
    evaluator = Evaluator()
    function = evaluator.eval_string("a: b: { c }: a + b + c")
    assert call(function, 1, delay(lambda: 2), {"c": 3}) == 6
    assert call(call(function, 1), 2, {"c": 4}) == 7
    assert call(evaluator.eval_string("{ __functor = self: x: self.n * x; n = 3; }"), 5) == 15


def test_delay_runs_once_and_may_give_a_thunk() -> None:
    runs: list[int] = []

    def work() -> Thunk:
        runs.append(1)
        return delay(lambda: 7)

    value = delay(work)
    assert force(value) == 7
    assert force(value) == 7
    assert runs == [1]


def test_deep_force_reaches_everything_and_survives_cycles() -> None:
    value = deep_force(Evaluator().eval_string("let x = { self = x; l = [ (1 + 1) { y = 2 * 2; } ]; }; in x"))
    assert value["self"] is value
    assert value["l"] == [2, {"y": 4}]


def test_function_args() -> None:
    evaluator = Evaluator()
    assert function_args(evaluator.eval_string("{ a, b ? 1, ... }: a")) == {"a": False, "b": True}
    assert function_args(evaluator.eval_string("lib: { a }: a")) == {}
    assert function_args(call(evaluator.eval_string("lib: { a }: a"), 1)) == {"a": False}
    assert function_args(evaluator.eval_string("{ __functor = self: { q }: q; }")) == {"q": False}
    assert function_args(1) is None


def test_types_have_nix_names() -> None:
    evaluator = Evaluator()
    named = {
        expression: type_name(evaluator.eval_string(expression)) for expression in ("1", "{ }", "[ ]", "x: x", "null")
    }
    assert list(named.values()) == ["an integer", "a set", "a list", "a function", "null"]


def test_positions_travel_with_attribute_names() -> None:
    evaluator = Evaluator()
    merged = evaluator.eval_string("{\n  a = 1;\n  bb.c = 2;\n} // {\n  a = 3; }")
    assert position_of(merged, "a") == Pos("«string»", 5, 3)
    assert position_of(merged, "bb") == Pos("«string»", 3, 3)
    assert position_of(force(merged["bb"]), "c") == Pos("«string»", 3, 3)
    assert position_of(merged, "zz") is None
    assert position_of({"a": 1}, "a") is None
    function = evaluator.eval_string("\n  x: x")
    assert function.info.pos == Pos("«string»", 2, 3)


def test_contexts_follow_strings_and_objects_are_recorded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    evaluator = Evaluator()
    text = evaluator.eval_string('"${./file} ${builtins.toFile "t" "y"}"', base_dir=tmp_path)
    assert isinstance(text, NixString)
    assert text.context == set(evaluator.store_objects)
    kinds = {type(found) for found in evaluator.store_objects.values()}
    assert kinds == {SourceObject, TextObject}
    drv = evaluator.eval_string(
        '(derivation { name = "n"; system = "s"; builder = ./file; }).drvPath', base_dir=tmp_path
    )
    recorded = evaluator.store_objects[str(drv)]
    assert isinstance(recorded, Derivation)
    assert recorded.input_sources == {next(p for p in text.context if p.endswith("-file"))}


def test_coercion() -> None:
    assert coerce_to_string(NixPath("/a")) == "/a"
    assert coerce_to_string([1, None, [True]], more=True) == "1  1"
    with pytest.raises(NixError, match="cannot coerce an integer to a string"):
        coerce_to_string(1)


def test_files_are_imported_once(tmp_path: Path) -> None:
    (tmp_path / "default.nix").write_text("{ a = import ./b.nix; b = import ./b.nix; c = ./b.nix; }")
    (tmp_path / "b.nix").write_text('builtins.trace "read" { n = 1; }')
    heard: list[str] = []
    value = deep_force(Evaluator(on_trace=heard.append).eval_file(tmp_path))
    assert value["a"] is value["b"]
    assert heard == ["read"]
    assert value["c"] == NixPath(str(tmp_path / "b.nix"))


def test_scoped_import_gives_names(tmp_path: Path) -> None:
    (tmp_path / "s.nix").write_text("[ x (map (y: y + x) [ 1 ]) ]")
    evaluator = Evaluator()
    value = evaluator.eval_string('scopedImport { x = 5; map = f: l: "shadowed"; } ./s.nix', base_dir=tmp_path)
    assert deep_force(value) == [5, "shadowed"]


def test_the_search_path(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "default.nix").write_text("42")
    evaluator = Evaluator(search_path=[f"mine={tmp_path}", str(tmp_path)])
    assert evaluator.eval_string("[ (import <mine/lib>) (import <lib>) ]") is not None
    assert deep_force(evaluator.eval_string("[ (import <mine/lib>) (import <lib>) ]")) == [42, 42]


def test_compiled_code_is_kept_and_its_places_stay_right(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.nix").write_text("{ here = ./y; bad = { }.missing; f = { a, b ? 2 }: a + b; }")
    cache = tmp_path / "cache"
    first = Evaluator(cache_dir=cache).eval_file(tmp_path / "one" / "x.nix")
    kept = list(cache.rglob("*.nixc"))
    assert len(kept) == 1
    second = Evaluator(cache_dir=cache).eval_file(tmp_path / "two" / "x.nix")
    assert list(cache.rglob("*.nixc")) == kept
    assert force(first["here"]) == NixPath(str(tmp_path / "one" / "y"))
    assert force(second["here"]) == NixPath(str(tmp_path / "two" / "y"))
    assert call(second["f"], {"a": 1}) == 3
    with pytest.raises(NixError) as caught:
        force(second["bad"])
    assert caught.value.pos == Pos(str(tmp_path / "two" / "x.nix"), 1, 21)
    kept[0].write_bytes(b"damaged" * 10)
    assert call(Evaluator(cache_dir=cache).eval_file(tmp_path / "one" / "x.nix")["f"], {"a": 1}) == 3


def test_pure_evaluation_reads_nothing_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nix").write_text("1")
    (tmp_path / "out.nix").write_text("2")
    (tmp_path / "in" / "link.nix").symlink_to(tmp_path / "out.nix")
    evaluator = Evaluator(pure=True, allowed_roots=[tmp_path / "in"])
    assert evaluator.eval_string('builtins.getEnv "SECRET_OF_THE_HOST"') == ""
    assert evaluator.eval_string("builtins ? currentTime || builtins ? currentSystem") is False
    with pytest.raises(NixError, match="attribute 'currentTime' missing") as missing:
        evaluator.eval_string("builtins.currentTime")
    assert "Pure evaluation does not have it" in (missing.value.hint or "")
    assert evaluator.eval_file(tmp_path / "in" / "a.nix") == 1
    assert evaluator.eval_string(f"builtins.pathExists {tmp_path}/out.nix") is False
    for expression in (
        f"import {tmp_path}/out.nix",
        f"builtins.readFile {tmp_path}/in/link.nix",
        f"builtins.readDir {tmp_path}",
        f'"${{{tmp_path}/out.nix}}"',
        "~/x",
    ):
        with pytest.raises(NixRestricted):
            evaluator.eval_string(expression)


def test_deep_recursion_needs_no_care() -> None:
    evaluator = Evaluator()
    assert evaluator.eval_string("let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 9999") == 9999
    nested = evaluator.eval_string("builtins.foldl' (a: i: { inherit a; }) null (builtins.genList (i: i) 50000)")
    assert print_value(nested).startswith("{ a = ")
    chain = evaluator.eval_string(
        "builtins.foldl' (a: i: [ (i + builtins.head a) ]) [ 0 ] (builtins.genList (i: i) 20000)"
    )
    assert force(chain[0]) == sum(range(20000))


def test_a_big_stack_within_a_big_stack_is_the_same_thread() -> None:
    inner = with_big_stack(lambda: (threading.get_ident(), with_big_stack(threading.get_ident)))
    assert inner[0] == inner[1] != threading.get_ident()


def test_exceptions_cross_the_big_stack() -> None:
    def fail() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        with_big_stack(fail)


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r")))
def test_printed_strings_read_back(text: str) -> None:
    assert Evaluator().eval_string(print_value(text)) == text


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text(alphabet=st.characters(blacklist_categories=("Cs",))),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('abcXYZ_-9 $"{'), inner),
        max_leaves=15,
    )
)
def test_json_round_trip(value: object) -> None:
    evaluator = Evaluator(extra_builtins={"given": value})
    assert deep_force(evaluator.eval_string("builtins.fromJSON (builtins.toJSON builtins.given)")) == value


@given(st.lists(st.integers(-50, 50)))
def test_sort_is_stable_with_any_comparator(numbers: list[int]) -> None:
    items = [{"k": n // 10, "v": n} for n in numbers]
    evaluator = Evaluator(extra_builtins={"given": items})
    value = deep_force(evaluator.eval_string("builtins.sort (a: b: a.k < b.k) builtins.given"))
    assert value == sorted(items, key=lambda item: item["k"])


def test_code_that_came_along_is_used_and_another_pythons_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.nix").write_text("{ a = 1; }")
    brought, cache = tmp_path / "brought", tmp_path / "cache"
    precompile([tmp_path], brought)
    monkeypatch.setattr(code_cache, "PRECOMPILED", str(brought))
    monkeypatch.setitem(sys.modules, "invar.nix.compiler", None)
    assert Evaluator(cache_dir=cache).eval_file(tmp_path / "x.nix")["a"] == 1
    assert not cache.exists(), "nothing to keep"

    damaged = next(brought.rglob("*.nixc"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    monkeypatch.undo()
    monkeypatch.setattr(code_cache, "PRECOMPILED", str(brought))
    assert Evaluator(cache_dir=cache).eval_file(tmp_path / "x.nix")["a"] == 1
    assert len(list(cache.rglob("*.nixc"))) == 1

    (brought / "revision").write_text(f"cpython-310-30a00f0\n{'00' * 32}\n")
    other = tmp_path / "other"
    assert Evaluator(cache_dir=other).eval_file(tmp_path / "x.nix")["a"] == 1
    assert [path.name for path in other.rglob("*.nixc")] == [path.name for path in cache.rglob("*.nixc")]


def test_ctrl_c_that_comes_again_on_the_way_out_ends_the_evaluation_all_the_same() -> None:
    program = """
import os, signal, sys, time
from invar.nix import stack

class Slow(set):
    def discard(self, member):
        until = time.monotonic() + 1
        while time.monotonic() < until:
            pass
        super().discard(member)

stack._inside = Slow()

def forever():
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass

try:
    stack.with_big_stack(forever)
except KeyboardInterrupt:
    print("interrupted", len(stack._inside))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted 0\n", "", 0)
