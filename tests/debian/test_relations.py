"""Relation fields are read as Debian Policy writes them."""

from __future__ import annotations

import pytest

from invar.debian.relations import Relation, parse_relations


def test_groups_alternatives_versions_and_qualifiers() -> None:
    assert parse_relations("libc6 (>= 2.38), default-mta | mail-transport-agent, perl:any (>> 5), x (<<1~)") == (
        (Relation("libc6", None, ">=", "2.38"),),
        (Relation("default-mta"), Relation("mail-transport-agent")),
        (Relation("perl", "any", ">>", "5"),),
        (Relation("x", None, "<<", "1~"),),
    )


def test_folded_and_empty_fields() -> None:
    assert parse_relations("") == ()
    assert parse_relations("a,\n b (= 1),") == ((Relation("a"),), (Relation("b", None, "=", "1"),))


def test_old_operators_mean_or_equal() -> None:
    assert parse_relations("a (< 1)")[0][0].accepts("1")
    assert parse_relations("a (> 1)")[0][0].accepts("1")


@pytest.mark.parametrize("text", ["a (>= )", "a (1)", "(>= 1)", "a b", "a | ", "a (>= 1) b"])
def test_malformed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a package relation"):
        parse_relations(text)


def test_unversioned_provides_does_not_satisfy_a_version() -> None:
    versioned = Relation("mta", None, ">=", "1")
    assert not versioned.accepts_provided(None)
    assert versioned.accepts_provided("2")
    assert Relation("mta").accepts_provided(None)


@pytest.mark.parametrize("text", ["a", "a:any", "a (>= 1:2~3-4)", "a:amd64 (= 1)"])
def test_text_of_a_relation_reads_back(text: str) -> None:
    ((relation,),) = parse_relations(text)
    assert str(relation) == text
