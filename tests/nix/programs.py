"""Programs for the differential test: random Nix expressions, mostly well typed, some not.

A generator is a function of a random source and a depth. All variables are bound by `PRELUDE`, so that no program is
refused before it runs; inner scopes bind the same names again. Every other program gets its variables as thunks.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

PRELUDE = (
    'let i = 7; j = -3; s = "ab.c-1"; t = "é\\n"; b = true; l = [ 3 1 2 ]; m = [ "x" "b" "x" ]; '
    'a = { x = 1; y = { z = "q"; }; i = 5; }; f = x: x + 1; g = { x, y ? 2, ... }@all: x; in '
)
THUNKS = "let later = x: x; in ({ i, j, s, t, b, l, m, a, f, g }: "
GIVEN = (
    ') { i = later 7; j = later (-3); s = later "ab.c-1"; t = later "é\\n"; b = later true; l = later [ 3 1 2 ]; '
    'm = later [ "x" "b" "x" ]; a = later { x = later 1; y = later { z = "q"; }; i = 5; }; f = later (x: x + 1); '
    "g = later ({ x, y ? 2, ... }@all: x); }"
)
DEPTH = 5
Text: TypeAlias = Callable[[Random, int], str]


def pick(*texts: str) -> Text:
    """One of some texts."""
    return lambda random, depth: random.choice(texts)


def either(*generators: Text) -> Text:
    """What one of some generators makes."""
    return lambda random, depth: random.choice(generators)(random, depth)


def numbers(low: int, high: int) -> Text:
    """An integer in parentheses."""
    return lambda random, depth: f"({random.randint(low, high)})"


def repeated(item: Text, most: int) -> Text:
    """A list of up to `most` items."""
    return lambda random, depth: f"[ {' '.join(item(random, depth) for _ in range(random.randint(0, most)))} ]"


def letters(alphabet: str, most: int) -> Text:
    """A string literal of up to `most` characters."""
    return lambda random, depth: f'"{"".join(random.choices(alphabet, k=random.randint(0, most)))}"'


def joined(template: str, **parts: Text) -> Text:
    """`template` with a part for each `{name}`."""

    def made(random: Random, depth: int) -> str:
        return template.format(**{name: part(random, depth - 1) for name, part in parts.items()})

    return made


def kind(name: str) -> Text:
    """What makes expressions of a type: simple ones when no depth is left, now and then of another type."""

    def made(random: Random, depth: int) -> str:
        simple, compound = KINDS[name]
        if depth <= 0:
            return simple(random, 0)
        chance = random.random()
        if chance < 0.2:
            return simple(random, depth)
        if chance < 0.8:
            return compound(random, depth)
        if chance < 0.93:
            return random.choice(_scoped(kind(name)))(random, depth)
        return anything(random, depth - 1)

    return made


def anything(random: Random, depth: int) -> str:
    """An expression of any type."""
    return random.choice([*map(kind, KINDS), _odd])(random, depth)


NAMES = pick("i", "j", "s", "t", "b", "l", "m", "a", "f", "g", "x", "y", "z")
BINDABLE = pick("i", "j", "s", "b", "l", "a", "f")
FIELDS = pick("x", "y", "z", "i", "a-b", "_c")


ints = kind("ints")
strings = kind("strings")
bools = kind("bools")
int_lists = kind("int_lists")
sets = kind("sets")
functions = kind("functions")


def _scoped(body: Text) -> list[Text]:
    return [
        joined("(let {n} = {v}; in {e})", n=BINDABLE, v=anything, e=body),
        joined("(let {n} = {v}; inherit (a) x; in {e})", n=BINDABLE, v=anything, e=body),
        joined("(with {v}; {e})", v=sets, e=body),
        joined("(({n}: {e}) {v})", n=BINDABLE, v=anything, e=body),
        joined("(({{ x ? {d}, {n} ? {v}, ... }}: {e}) {w})", n=pick("i"), d=anything, v=ints, e=body, w=sets),
        joined("(if {c} then {e} else {o})", c=bools, e=body, o=body),
        joined("(assert {c}; {e})", c=bools, e=body),
        joined("(builtins.seq {v} {e})", v=anything, e=body),
        joined("(rec {{ i = {v}; r = {e}; }}.r)", v=anything, e=body),
        joined("(builtins.head (builtins.attrValues (builtins.mapAttrs (n: i: {e}) {v})))", e=body, v=sets),
    ]


_texts: Text = either(pick("m"), repeated(strings, 3))
_patterns: Text = pick(
    '"a"',
    '"(a|ab)(c|bcd)?"',
    '"[a-c]+"',
    '"([.-])"',
    '"(x)|(b)"',
    '".*"',
    '"(a*)*"',
    '"[[:digit:]]+"',
    '"("',
    '"a{1,2}"',
    '"b?"',
    '"^a|b$"',
)
_small = numbers(-4, 12)
_simple_ints: Text = either(
    _small,
    pick("i", "j", "a.x"),
)
_ints: Text = either(
    joined("({x} {o} {y})", x=ints, o=pick("+", "-", "*", "/"), y=ints),
    joined("(- {x})", x=ints),
    joined("(builtins.length {l})", l=int_lists),
    joined("(builtins.foldl' (x: y: {e}) {x} {l})", e=pick("x + y", "y", "x - y", "x * 2"), x=ints, l=int_lists),
    joined("(builtins.elemAt {l} {x})", l=int_lists, x=ints),
    joined("(builtins.head {l})", l=int_lists),
    joined("(builtins.stringLength {s})", s=strings),
    joined("(builtins.compareVersions {s} {t})", s=strings, t=strings),
    joined("({a}.{k} or {x})", a=sets, k=FIELDS, x=ints),
    joined("({a}.x)", a=sets),
    joined("({f} {x})", f=functions, x=ints),
    joined("(builtins.{o} {x} {y})", o=pick("add", "sub", "mul", "div", "bitAnd", "bitOr", "bitXor"), x=ints, y=ints),
    joined("(builtins.{o} {x})", o=pick("ceil", "floor"), x=ints),
    joined("(builtins.fromJSON {s})", s=pick('"1"', '"25"', '"[1,"', '"{}"', '"nulls"')),
)  # fmt: skip
_simple_strings: Text = either(
    pick("s", "t", "a.y.z", '""', '"a"', '"1.2.3pre4"', '"foo-2.0"', "''\n  x\n    y\n''", '"\\${x}"', '"a/b/"'),
    letters("abc.-/ 01é", 6),
)  # fmt: skip
_strings: Text = either(
    joined("({x} + {y})", x=strings, y=strings),
    joined('"<${{{x}}}-${{{y}}}>"', x=strings, y=strings),
    joined("''\n    ${{{x}}}\n      b ${{toString {y}}}\n  ''", x=strings, y=anything),
    joined("(toString {x})", x=anything),
    joined("(builtins.toJSON {x})", x=anything),
    joined("(builtins.substring {x} {y} {s})", x=_small, y=ints, s=strings),
    joined("(builtins.replaceStrings {m} {n} {s})", m=_texts, n=repeated(letters("abc", 2), 2), s=strings),
    joined("(builtins.concatStringsSep {s} {m})", s=strings, m=_texts),
    joined("(builtins.typeOf {x})", x=anything),
    joined("(toString ({x} {o} {f}))", x=ints, o=pick("*", "/", "-"), f=pick("2.5", "0.1", "1.0e3")),
    joined("(builtins.{o} {s})", o=pick("baseNameOf", "dirOf", "unsafeDiscardStringContext"), s=strings),
    joined("(builtins.hashString {k} {s})", k=pick('"md5"', '"sha256"', '"x"'), s=strings),
    joined("(builtins.toXML {x})", x=either(ints, strings, int_lists)),
)  # fmt: skip
_simple_bools: Text = pick("true", "false", "b", "(i == 7)")
_bools: Text = either(
    joined("({x} {o} {y})", x=ints, o=pick("==", "!=", "<", "<=", ">", ">="), y=ints),
    joined("({x} {o} {y})", x=strings, o=pick("==", "<", ">="), y=strings),
    joined("({x} == {y})", x=anything, y=anything),
    joined("({x} {o} {f})", x=ints, o=pick("<", "==", ">="), f=pick("2.5", "7.0", "-0.5")),
    joined("({x} {o} {y})", x=int_lists, o=pick("==", "<", ">"), y=int_lists),
    joined("({x} {o} {y})", x=bools, o=pick("&&", "||", "->"), y=bools),
    joined("(! {x})", x=bools),
    joined("({a} ? {k}.z)", a=anything, k=FIELDS),
    joined("(builtins.{o} (x: {c}) {l})", o=pick("all", "any"), c=bools, l=int_lists),
    joined("(builtins.elem {x} {l})", x=anything, l=int_lists),
    joined("(builtins.hasAttr {s} {a})", s=strings, a=sets),
    joined(
        "(builtins.{o} {x})",
        o=pick("isInt", "isString", "isAttrs", "isFunction", "isList", "isNull"), x=anything,
    ),
    joined("((builtins.tryEval {x}).success)", x=anything),
    joined("(builtins.lessThan {x} {y})", x=anything, y=anything),
)  # fmt: skip
_simple_lists: Text = either(
    pick("l", "[ ]", "[ 1 ]", "m"),
    repeated(ints, 3),
)
_lists: Text = either(
    joined("({x} ++ {y})", x=int_lists, y=int_lists),
    joined("(map {f} {l})", f=functions, l=int_lists),
    joined("(builtins.filter (x: {c}) {l})", c=bools, l=int_lists),
    joined("(builtins.sort (x: y: {c}) {l})", c=pick("x < y", "y < x", "builtins.lessThan x y"), l=int_lists),
    joined("(builtins.genList {f} {n})", f=functions, n=numbers(-1, 4)),
    joined("(builtins.concatLists [ {x} {y} ])", x=int_lists, y=int_lists),
    joined("(builtins.concatMap (x: [ x {e} ]) {l})", e=anything, l=int_lists),
    joined("(builtins.attrNames {a})", a=sets),
    joined("(builtins.attrValues {a})", a=sets),
    joined("(builtins.tail {l})", l=int_lists),
    joined("(builtins.catAttrs {s} [ {a} {c} ])", s=pick('"x"', '"y"', "s"), a=sets, c=sets),
    joined("(builtins.split {r} {s})", r=_patterns, s=strings),
    joined("(builtins.match {r} {s})", r=_patterns, s=strings),
    joined("(builtins.splitVersion {s})", s=strings),
    joined("((builtins.partition (x: {c}) {l}).right)", c=bools, l=int_lists),
    joined(
        "(builtins.genericClosure {{ startSet = [ {{ key = {x}; }} ]; operator = e: if "
        "builtins.elem e.key [ 0 1 (-1) ] then [ {{ key = e.key + 1; }} {{ key = 2; }} ] else [ ]; }})",
        x=ints,
    ),
)  # fmt: skip
_simple_sets: Text = pick("a", "{ }", "{ x = 1; }", "{ x = i; y = s; }", "{ inherit i s; }", "a.y")
_sets: Text = either(
    joined("{{ x = {x}; {k} = {y}; }}", x=anything, k=pick("y", "z.w", '"a b"', "i"), y=anything),
    joined("{{ ${{{s}}} = {x}; }}", s=strings, x=anything),
    joined("(rec {{ x = {x}; y = {y}; }})", x=ints, y=anything),
    joined("({x} // {y})", x=sets, y=sets),
    joined("(builtins.mapAttrs (n: x: {e}) {a})", e=anything, a=sets),
    joined("(builtins.removeAttrs {a} {m})", a=sets, m=_texts),
    joined("(builtins.intersectAttrs {a} {c})", a=sets, c=sets),
    joined(
        "(builtins.listToAttrs [ {{ name = {s}; value = {x}; }} {{ name = {t}; value = "
        "{y}; }} ])",
        s=strings, x=anything, t=strings, y=anything,
    ),
    joined("(builtins.groupBy (x: {s}) {l})", s=strings, l=int_lists),
    joined("(builtins.zipAttrsWith (n: vs: vs) [ {a} {c} ])", a=sets, c=sets),
    joined("(builtins.functionArgs {f})", f=functions),
    joined("(builtins.parseDrvName {s})", s=strings),
    joined("(builtins.tryEval {x})", x=anything),
    joined("{{ inherit ({a}) x; }}", a=sets),
    joined("(builtins.fromJSON (builtins.toJSON {x}))", x=anything),
)  # fmt: skip
_simple_functions: Text = pick(
    "f", "(x: x)", "(x: y: x)", "g", "toString", "(builtins.add 1)", "({ x ? 1, ... }: x)", "({ x, y }: y)"
)
_functions: Text = either(
    joined("({n}: {e})", n=NAMES, e=anything),
    joined("(x: {e})", e=ints),
    joined("{{ __functor = self: x: {e}; }}", e=ints),
    joined("(({x}).f or f)", x=sets),
)
_odd: Text = pick(
    *("null", '(throw "t")', '(abort "x")', "(/a/b)", '(/a + "/c")', '{ outPath = "/o"; }', "builtins.nothing", "a.q"),
    *('{ __toString = self: "ts"; }', "(1 / 0)", "[ [ ] { } ]", "(let x = x; in x)"),
)

KINDS: dict[str, tuple[Text, Text]] = {
    "ints": (_simple_ints, _ints),
    "strings": (_simple_strings, _strings),
    "bools": (_simple_bools, _bools),
    "int_lists": (_simple_lists, _lists),
    "sets": (_simple_sets, _sets),
    "functions": (_simple_functions, _functions),
}
"""By type: simple expressions, and compound ones."""


def programs(random: Random, count: int) -> list[str]:
    """`count` programs."""
    made = [anything(random, random.randint(1, DEPTH)) for _ in range(count)]
    return [THUNKS + text + GIVEN if index % 2 else PRELUDE + text for index, text in enumerate(made)]
