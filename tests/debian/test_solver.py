"""The chosen set is closed, free of conflicts, and the one apt would choose."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.debian.index import Universe
from invar.debian.solver import Choice, dependencies, solve
from invar.store.objects import Store

Make = Callable[[str], Universe]


def names(universe: Universe, *requests: str) -> list[str]:
    return list(solve(requests, universe).packages)


def test_base_set_comes_along(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: bash
        Essential: yes
        Depends: libc6

        Package: libc6

        Package: passwd
        Priority: required

        Package: nginx

        Package: unwanted
        """
    )
    assert names(universe, "nginx") == ["bash", "libc6", "nginx", "passwd"]
    assert list(solve(["nginx"], universe, base=False).packages) == ["nginx"]


def test_first_alternative_is_taken_unless_another_is_in_already(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: app
        Depends: exim | postfix

        Package: exim

        Package: postfix
        """
    )
    assert names(universe, "app") == ["app", "exim"]
    assert names(universe, "app", "postfix") == ["app", "postfix"]


def test_providers_by_priority_then_name(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: app
        Depends: mta

        Package: a-mta
        Provides: mta
        Priority: extra

        Package: z-mta
        Provides: mta
        Priority: standard

        Package: b-mta
        Provides: mta
        Priority: standard
        """
    )
    assert names(universe, "app") == ["app", "b-mta"]


def test_versions_and_architectures_restrict(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: app
        Depends: lib (>= 2) | lib:i386 | other:any

        Package: lib
        Version: 1

        Package: other
        """
    )
    assert names(universe, "app") == ["app", "other"]


def test_conflicting_first_alternative_is_passed_over(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: app
        Depends: x | y

        Package: x
        Conflicts: base-thing

        Package: y

        Package: base-thing
        """
    )
    assert names(universe, "app", "base-thing") == ["app", "base-thing", "y"]


def test_choice_is_taken_back_when_it_leads_nowhere(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: app
        Depends: one | two, three | four

        Package: one
        Depends: deep-one

        Package: deep-one
        Conflicts: three, four

        Package: two

        Package: three

        Package: four
        """
    )
    assert names(universe, "app") == ["app", "three", "two"]


def test_package_that_conflicts_with_what_it_provides_may_be_installed(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: exim
        Provides: mta
        Conflicts: mta

        Package: postfix
        Provides: mta
        Conflicts: mta
        """
    )
    assert names(universe, "exim") == ["exim"]
    with pytest.raises(InvarError):
        names(universe, "exim", "postfix")


def test_breaks_of_an_old_version_does_not_matter(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: new
        Breaks: old (<< 2)
        Depends: old

        Package: old
        Version: 2
        """
    )
    assert names(universe, "new") == ["new", "old"]


def test_unknown_package_gets_near_names_and_its_origin(universe_of: Make) -> None:
    universe = universe_of("Package: nginx\n\nPackage: postgresql")
    with pytest.raises(InvarError) as caught:
        solve(["ngnix"], universe, origins={"ngnix": "configuration.nix:7"})
    assert caught.value.what == "there is no package ngnix"
    assert caught.value.where == "configuration.nix:7"
    assert caught.value.hint == "did you mean nginx?"


def test_virtual_package_names_its_providers(universe_of: Make) -> None:
    universe = universe_of("Package: exim\nProvides: mta\n\nPackage: postfix\nProvides: mta")
    with pytest.raises(InvarError) as caught:
        solve(["mta"], universe)
    assert caught.value.hint is not None and "exim, postfix" in caught.value.hint


def test_missing_dependency_shows_the_chain(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: app
        Depends: middle

        Package: middle
        Depends: lib (>= 3)

        Package: lib
        Version: 2
        """
    )
    with pytest.raises(InvarError) as caught:
        solve(["app"], universe, origins={"app": "configuration.nix:3"})
    assert caught.value.what == "package app cannot be installed"
    assert caught.value.where == "configuration.nix:3"
    assert caught.value.why == "app → middle needs lib (>= 3), which the archive has only as lib 2"


def test_conflict_shows_both_sides(universe_of: Make) -> None:
    universe = universe_of(
        """
        Package: app
        Depends: middle

        Package: middle
        Conflicts: other

        Package: other
        """
    )
    with pytest.raises(InvarError) as caught:
        solve(["app", "other"], universe)
    assert "app → middle" in (caught.value.why or "")
    assert "other" in (caught.value.why or "")


NAMES = "abcdef"
RELATION = st.sampled_from([*NAMES, "v", "w", "a (>= 2)", "b (<< 2)", "v (= 1)"])
GROUP = st.lists(RELATION, min_size=1, max_size=3).map(" | ".join)
PACKAGE = st.fixed_dictionaries(
    {
        "Version": st.sampled_from(["1", "2"]),
        "Depends": st.lists(GROUP, max_size=2).map(", ".join),
        "Conflicts": st.lists(st.sampled_from([*NAMES, "v", "b (<< 2)"]), max_size=1).map(", ".join),
        "Breaks": st.lists(st.sampled_from([*NAMES, "a (>= 2)"]), max_size=1).map(", ".join),
        "Provides": st.lists(st.sampled_from(["v", "w", "v (= 1)"]), max_size=1).map(", ".join),
    }
)


def consistent(choice: Choice, chosen: set[str]) -> bool:
    for name in chosen:
        package = choice.universe.find(name)
        assert package is not None
        if any(other.name in chosen for _, other in choice.enemies(package)):
            return False
        for group in dependencies(package):
            if not any(option.name in chosen for option in choice.alternatives(group)):
                return False
    return True


@settings(max_examples=150)
@given(st.lists(PACKAGE, min_size=6, max_size=6), st.sets(st.sampled_from(NAMES), min_size=1, max_size=3))
def test_a_set_is_found_if_and_only_if_there_is_one(packages: list[dict[str, str]], requests: set[str]) -> None:
    text = ""
    for name, fields in zip(NAMES, packages, strict=True):
        lines = "".join(f"{key}: {value}\n" for key, value in fields.items() if value)
        text += f"Package: {name}\nArchitecture: all\nFilename: {name}\nSHA256: 0\nSize: 1\n{lines}\n"
    with tempfile.TemporaryDirectory() as directory:
        universe = _universe(text, Store(Path(directory)))
        choice = Choice(universe, "amd64")
        possible = any(
            consistent(choice, requests | set(extra))
            for count in range(len(NAMES) + 1)
            for extra in itertools.combinations(NAMES, count)
        )
        try:
            found = set(solve(requests, universe).packages)
        except InvarError:
            assert not possible
        else:
            assert requests <= found
            assert consistent(choice, found)


def _universe(text: str, store: Store) -> Universe:
    import lzma

    from invar.debian.index import parse_index
    from invar.debian.lock import LockedIndex

    index = parse_index(store, lzma.compress(text.encode(), preset=0), "trixie", where="test")
    return Universe([(LockedIndex("trixie", "main", "2026-01-01T00:00:00Z", "0" * 64, "0" * 64), index)])
