"""Accounts: who gets which number, who is in which group, and what is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.image.accounts import NORMAL, SYSTEM, Accounts, derived_number, merge_accounts
from invar.system.record import Group, User

EPOCH = 1_750_000_000
PACKAGES = {
    "passwd": """\
root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
postgres:x:119:119:PostgreSQL:/var/lib/postgresql:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
""",
    "group": """\
root:x:0:
adm:x:4:
www-data:x:33:
shadow:x:42:
users:x:100:
postgres:x:119:
ssl-cert:x:120:postgres
nogroup:x:65534:
""",
    "shadow": """\
root:*:20000:0:99999:7:::
www-data:*:20000:0:99999:7:::
postgres:!:20000::::::
nobody:*:20000:0:99999:7:::
""",
    "gshadow": """\
root:*::
adm:*::
www-data:*::
shadow:*::
users:*::
postgres:!::
ssl-cert:!::postgres
nogroup:*::
""",
}
YESCRYPT = "$y$j9T$abcdefghijklmnop$" + "x" * 43


def user(name: str, **changed: Any) -> User:
    fields: dict[str, Any] = {
        "name": name,
        "uid": None,
        "group": "users",
        "extra_groups": (),
        "description": "",
        "home": f"/home/{name}",
        "create_home": True,
        "shell": "/bin/bash",
        "normal": True,
        "hashed_password": None,
    }
    return User(**{**fields, **changed})


def merge(users: tuple[User, ...] = (), groups: tuple[Group, ...] = ()) -> Accounts:
    return merge_accounts(PACKAGES, users, groups, EPOCH)


def rows(text: str) -> dict[str, list[str]]:
    return {line.split(":")[0]: line.split(":") for line in text.splitlines()}


def hashed(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def test_a_normal_user_has_the_number_of_its_name_and_no_password() -> None:
    accounts = merge((user("deploy", extra_groups=("wheel", "adm")),), (Group("wheel", None, ()),))
    uid = 1000 + hashed("deploy") % 28000
    assert rows(accounts.passwd)["deploy"] == ["deploy", "x", str(uid), "100", "", "/home/deploy", "/bin/bash"]
    assert rows(accounts.shadow)["deploy"] == ["deploy", "!", str(EPOCH // 86400), "0", "99999", "7", "", "", ""]
    assert rows(accounts.group)["wheel"] == ["wheel", "x", str(400 + hashed("wheel") % 500), "deploy"]
    assert rows(accounts.group)["adm"][3] == "deploy"
    assert rows(accounts.gshadow)["wheel"] == ["wheel", "!", "", "deploy"]


def test_a_system_user_has_a_number_below_900() -> None:
    accounts = merge((user("app", normal=False, group="app"),), (Group("app", None, ()),))
    assert accounts.uids["app"] == 400 + hashed("app") % 500


def test_packages_accounts_keep_number_and_password_and_take_what_is_declared() -> None:
    declared = {"group": "postgres", "shell": "/usr/sbin/nologin", "home": "/var/lib/pg", "normal": False}
    accounts = merge((user("postgres", **declared),))
    assert rows(accounts.passwd)["postgres"] == ["postgres", "x", "119", "119", "", "/var/lib/pg", "/usr/sbin/nologin"]
    assert rows(accounts.shadow)["postgres"][1] == "!"
    assert rows(accounts.shadow)["root"][1] == "*"
    assert rows(accounts.group)["ssl-cert"][3] == "postgres"


def test_a_declared_hash_is_the_password() -> None:
    assert rows(merge((user("eve", hashed_password=YESCRYPT),)).shadow)["eve"][1] == YESCRYPT
    assert rows(merge((user("root", group="root", hashed_password="!"),)).shadow)["root"][1] == "!"


def test_every_file_lists_the_same_names_in_the_order_of_their_numbers() -> None:
    accounts = merge((user("deploy"), user("app", uid=450)), (Group("ops", 5000, ("deploy",)),))
    assert list(rows(accounts.passwd)) == list(rows(accounts.shadow))
    assert list(rows(accounts.group)) == list(rows(accounts.gshadow))
    uids = [int(row[2]) for row in rows(accounts.passwd).values()]
    assert uids == sorted(uids)


@given(st.sets(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), max_size=30))
def test_a_user_keeps_its_number_when_others_come(names: set[str]) -> None:
    names -= {"root", "postgres", "nobody", "deploy"}
    alone = merge((user("deploy"),)).uids["deploy"]
    uids = merge((user("deploy"), *(user(name) for name in names))).uids
    assert len(set(uids.values())) == len(uids)
    if not any(hashed(name) % 28000 == hashed("deploy") % 28000 for name in names):
        assert uids["deploy"] == alone


def test_a_taken_number_moves_to_the_next_free_one() -> None:
    first = derived_number("deploy", NORMAL, set())
    assert derived_number("deploy", NORMAL, {first, first + 1}) == first + 2
    with pytest.raises(InvarError, match="no number is left"):
        derived_number("app", SYSTEM, set(SYSTEM))


@pytest.mark.parametrize(
    ("users", "groups", "problem", "where"),
    [
        ((user("a", extra_groups=("whele",)),), (Group("wheel", None, ()),), "no group whele", "extraGroups"),
        ((user("a", group="nope"),), (), "no group nope", "group"),
        ((), (Group("ops", None, ("ghost",)),), "no user ghost", "members"),
        ((user("a", uid=2000), user("b", uid=2000)), (), "both have the number 2000", "uid"),
        ((user("a", uid=119),), (), "postgres and a both have the number 119", "uid"),
        ((user("postgres", uid=2000, group="postgres"),), (), "cannot have the number 2000", "uid"),
        ((), (Group("a", 3000, ()), Group("b", 3000, ())), "both have the number 3000", "gid"),
        ((user("a", uid=70000),), (), "no number for a", "uid"),
        ((user("a", hashed_password="secret"),), (), "not a hash", "hashedPassword"),
        ((user("a", hashed_password=""),), (), "is empty", "hashedPassword"),
        ((user("a", hashed_password="$1$salt$hash"),), (), "not a hash", "hashedPassword"),
        ((user("a", home="/home/a:b"),), (), "colon", "home"),
        ((user("A B"),), (), "no name for a user", "users.users"),
    ],
)
def test_contradictions_are_told(users: tuple[User, ...], groups: tuple[Group, ...], problem: str, where: str) -> None:
    with pytest.raises(InvarError, match=problem) as caught:
        merge(users, groups)
    assert where in (caught.value.where or "")


def test_a_misspelt_group_is_offered_the_nearest() -> None:
    with pytest.raises(InvarError) as caught:
        merge((user("a", extra_groups=("whele",)),), (Group("wheel", None, ()),))
    assert "wheel" in (caught.value.hint or "")


def test_a_password_in_the_message_would_be_a_leak() -> None:
    with pytest.raises(InvarError) as caught:
        merge((user("a", hashed_password="correct horse"),))
    assert "correct horse" not in str(caught.value)
