"""A package's user has one number, whatever else is installed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.image.debian_users import FIXED, HASHED, apply_to_group, apply_to_passwd, assign_numbers, renumber

NAMES = st.lists(st.from_regex(r"[a-z_][a-z0-9_-]{0,20}", fullmatch=True), unique=True, max_size=30)


def test_fixed_numbers_are_apart_from_one_another_and_from_hashed_ones() -> None:
    assert len(set(FIXED.values())) == len(FIXED)
    assert not set(FIXED.values()) & set(HASHED)
    assert all(101 <= number < 200 for number in FIXED.values())


@given(NAMES)
def test_numbers_are_unique_and_in_their_range(names: list[str]) -> None:
    numbers = assign_numbers(names)
    assert set(numbers) == set(names)
    assert len(set(numbers.values())) == len(names)
    assert all(number in HASHED or number == FIXED.get(name) for name, number in numbers.items())


@given(NAMES)
def test_the_order_of_installation_does_not_matter(names: list[str]) -> None:
    assert assign_numbers(names) == assign_numbers(reversed(names))


def test_a_hashed_number_does_not_depend_on_its_neighbours() -> None:
    alone = assign_numbers(["somedaemon"])["somedaemon"]
    assert assign_numbers(["somedaemon", "otherdaemon", "postgres"])["somedaemon"] == alone


def test_too_many_users_are_an_error() -> None:
    with pytest.raises(ValueError, match="no number is left"):
        assign_numbers(f"user{number}" for number in range(201))


def test_group_and_user_of_one_name_share_the_number() -> None:
    passwd = "root:x:0:0::/:/bin/sh\nfoo:x:998:996::/:/bin/sh\n"
    group = "root:x:0:\nusers:x:100:\nbar:x:997:foo,abc\nfoo:x:996:\n"
    change = renumber(passwd, group)
    assert change.uids[998] == change.gids[996]
    lines = apply_to_passwd(passwd, change).splitlines()
    assert lines[1] == f"foo:x:{change.uids[998]}:{change.gids[996]}::/:/bin/sh"
    assert f"bar:x:{change.gids[997]}:abc,foo" in apply_to_group(group, change)
    assert "users:x:100:" in apply_to_group(group, change)
