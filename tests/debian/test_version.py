"""Debian versions sort as dpkg sorts them."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.debian.version import compare, satisfies, version_key

ORDERED = [
    "0~~",
    "0~",
    "0",
    "0+a",
    "1.0~beta1~svn1245",
    "1.0~beta1",
    "1.0-0~bpo1",
    "1.0",
    "1.0-1",
    "1.0-1+b1",
    "1.0-1+deb13u1",
    "1.0-1.1",
    "1.0-2",
    "1.0-10",
    "1.0a",
    "1.0b",
    "1.0+dfsg",
    "1.00001.1",
    "1.2",
    "1.10",
    "1:0.1",
    "10:0",
]


def test_documented_order() -> None:
    shuffled = random.Random(1).sample(ORDERED, len(ORDERED))
    assert sorted(shuffled, key=version_key) == ORDERED


@pytest.mark.parametrize(
    ("left", "right"), [("1.0", "1.0-0"), ("1.0", "0:1.0"), ("1.01", "1.1"), ("1.", "1.0"), ("0", "")]
)
def test_equal_in_different_spelling(left: str, right: str) -> None:
    assert compare(left, right) == 0


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("<<", [True, False, False]),
        ("<=", [True, True, False]),
        ("=", [False, True, False]),
        (">=", [False, True, True]),
        (">>", [False, False, True]),
    ],
)
def test_operators(operator: str, expected: list[bool]) -> None:
    assert [satisfies(version, operator, "2") for version in ("1", "2", "3")] == expected


def test_bad_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="not a Debian version"):
        version_key("a:1")


UPSTREAM = st.from_regex(r"[0-9][a-zA-Z0-9.+~]{0,7}", fullmatch=True)
VERSIONS = st.builds(
    lambda epoch, upstream, revision: f"{epoch}{upstream}{revision}",
    st.sampled_from(["", "0:", "1:", "12:"]),
    UPSTREAM,
    st.one_of(st.just(""), st.from_regex(r"-[a-zA-Z0-9.+~]{1,6}", fullmatch=True)),
)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_order_is_total(a: str, b: str, c: str) -> None:
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg as the oracle")
def test_order_is_dpkgs() -> None:
    chance = random.Random(7)
    letters = "0123.+~aZ-"

    def version() -> str:
        body = "".join(chance.choice(letters) for _ in range(chance.randint(0, 6)))
        return f"{chance.choice(['', '0:', '1:'])}{chance.randint(0, 9)}{body}".rstrip("-")

    for left, right in [(version(), version()) for _ in range(150)]:
        relation = {-1: "lt", 0: "eq", 1: "gt"}[compare(left, right)]
        done = subprocess.run(["dpkg", "--compare-versions", left, relation, right], check=False, capture_output=True)
        assert done.returncode == 0, (left, relation, right, done.stderr)
