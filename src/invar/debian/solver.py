"""Which packages a set of requests needs: the first choice that works, as apt would make it, with backtracking."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from invar.core.errors import InvarError
from invar.debian.index import Package, Universe
from invar.debian.relations import Alternatives, Relation, parse_relations

_PRIORITIES = {name: rank for rank, name in enumerate(("required", "important", "standard", "optional", "extra"))}

DECISIONS = 10_000
"""How many choices are tried before giving up; a set of packages that can be had takes one per open alternative."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A consistent set of packages by name, sorted, and for each the members that satisfy its (Pre-)Depends."""

    packages: Mapping[str, Package]
    pre_depends: Mapping[str, tuple[str, ...]]
    depends: Mapping[str, tuple[str, ...]]


def solve(
    requests: Iterable[str],
    universe: Universe,
    *,
    origins: Mapping[str, str] | None = None,
    base: bool = True,
    architecture: str = "amd64",
) -> Solution:
    """The packages that the requests need, in the newest version of each; Recommends are not followed.

    `base` adds all Essential packages and those of priority required. `origins` maps a request to its "file:line". The
    result depends on the set of requests only, not on their order.

    Raises InvarError for an unknown package (with the nearest names) and for requests that cannot be had together (with
    the chain that leads there).
    """
    choice = Choice(universe, architecture)
    wanted = sorted(set(requests))
    places = origins or {}
    for name in wanted:
        _check_known(name, universe, places)
    search = _Search(choice)
    try:
        selected = search.run([*(universe.base() if base else ()), *wanted])
        return _solution(choice, selected)
    except _Refused as refused:
        raise _refusal(refused, wanted, places) from None
    except ValueError as error:
        raise InvarError("the package index is malformed", why=str(error)) from error


class Choice:
    """The rules of choice over a universe: who satisfies a relation, in which order, and who conflicts with whom."""

    def __init__(self, universe: Universe, architecture: str) -> None:
        self.universe = universe
        self._native = (None, "any", "native", architecture)
        self._satisfiers: dict[Relation, tuple[Package, ...]] = {}
        self._provides: dict[str, tuple[Relation, ...]] = {}

    def satisfiers(self, relation: Relation) -> tuple[Package, ...]:
        """Packages that satisfy a relation: the one of that name, then providers, Essential and important first."""
        found = self._satisfiers.get(relation)
        if found is None:
            found = self._satisfiers[relation] = self._find(relation)
        return found

    def alternatives(self, group: Alternatives) -> list[Package]:
        """All satisfiers of a group in order, each once."""
        return list({package.name: package for relation in group for package in self.satisfiers(relation)}.values())

    def provides(self, package: Package) -> tuple[Relation, ...]:
        """What a package provides beside itself."""
        found = self._provides.get(package.name)
        if found is None:
            groups = parse_relations(package.provides)
            found = self._provides[package.name] = tuple(relation for group in groups for relation in group)
        return found

    def enemies(self, package: Package) -> list[tuple[Relation, Package]]:
        """The packages that this one's Conflicts and Breaks exclude, as far as the universe has them."""
        found: list[tuple[Relation, Package]] = []
        for group in (*parse_relations(package.conflicts), *parse_relations(package.breaks)):
            for relation in group:
                found.extend((relation, other) for other in self.satisfiers(relation) if other.name != package.name)
        return found

    def _find(self, relation: Relation) -> tuple[Package, ...]:
        if relation.qualifier not in self._native:
            return ()
        found = []
        named = self.universe.find(relation.name)
        if named is not None and relation.accepts(named.version):
            found.append(named)
        providers = [
            package
            for package, version in self.universe.providers(relation.name)
            if package.name != relation.name and relation.accepts_provided(version)
        ]
        providers.sort(key=lambda item: (not item.essential, _PRIORITIES.get(item.priority, 9), item.name))
        return tuple(dict.fromkeys((*found, *providers)))


def dependencies(package: Package) -> tuple[Alternatives, ...]:
    """Pre-Depends, then Depends."""
    return (*parse_relations(package.pre_depends), *parse_relations(package.depends))


class _Refused(Exception):
    """A selection that cannot be completed: the last package of `chain` needs `reason`."""

    def __init__(self, chain: str, reason: str) -> None:
        super().__init__(chain, reason)
        self.chain = chain
        self.reason = reason


@dataclass(slots=True)
class _State:
    """A partial selection: what is in, what is out and why, and the groups that are still open, oldest first."""

    selected: dict[str, str | None]
    excluded: dict[str, str]
    open: list[tuple[str, list[Package]]]

    def copy(self) -> _State:
        return _State(self.selected.copy(), self.excluded.copy(), self.open.copy())

    def chain(self, name: str) -> str:
        """How a package came in: "request → ... → name"."""
        names = [name]
        while (parent := self.selected.get(names[-1])) is not None:
            names.append(parent)
        return " → ".join(reversed(names))


class _Search:
    """Davis-Putnam-Logemann-Loveland over packages: forced choices, then the oldest open group's first option.

    Where nothing conflicts it never goes back, and is as good as greedy.
    """

    def __init__(self, choice: Choice) -> None:
        self._choice = choice

    def run(self, roots: Sequence[str]) -> frozenset[str]:
        """Names of a consistent selection. Raises _Refused with the first fault when there is none."""
        state = _State({}, {}, [])
        packages = [package for name in roots if (package := self._choice.universe.find(name))]
        self._add(state, [(package, None) for package in packages])
        first_fault: _Refused | None = None
        branches: list[_State] = []
        for _ in range(DECISIONS):
            group = self._next_group(state)
            if group is None:
                return frozenset(state.selected)
            parent, options = group
            option = next(option for option in options if option.name not in state.excluded)
            branches.append(state.copy())
            try:
                self._add(state, [(option, parent)])
            except _Refused as fault:
                first_fault = first_fault or fault
                state = self._go_back(branches, first_fault)
        raise first_fault or _Refused(roots[-1], "more choices than can be tried")

    def _go_back(self, branches: list[_State], first_fault: _Refused) -> _State:
        """The newest earlier state in which the option tried there can be ruled out. Raises `first_fault` at last."""
        while branches:
            state = branches.pop()
            group = self._next_group(state)
            assert group is not None
            parent, options = group
            failed = next(option for option in options if option.name not in state.excluded)
            state.excluded[failed.name] = f"{parent}'s other choices"
            try:
                self._settle(state)
            except _Refused:
                continue
            return state
        raise first_fault

    def _next_group(self, state: _State) -> tuple[str, list[Package]] | None:
        state.open = [group for group in state.open if not any(option.name in state.selected for option in group[1])]
        return state.open[0] if state.open else None

    def _add(self, state: _State, additions: list[tuple[Package, str | None]]) -> None:
        for package, parent in additions:
            self._select(state, package, parent)
        for package, _ in additions:
            self._follow(state, package)
        self._settle(state)

    def _settle(self, state: _State) -> None:
        """Select whatever open groups leave no choice about, until nothing changes."""
        changed = True
        while changed:
            changed = False
            for parent, options in list(state.open):
                if any(option.name in state.selected for option in options):
                    continue
                possible = [option for option in options if option.name not in state.excluded]
                if len(possible) > 1:
                    continue
                if not possible:
                    reasons = "; ".join(
                        f"{option.name} is excluded by {state.excluded[option.name]}" for option in options
                    )
                    raise _Refused(
                        state.chain(parent), f"{' | '.join(option.name for option in options)}, but {reasons}"
                    )
                self._select(state, possible[0], parent)
                self._follow(state, possible[0])
                changed = True
            state.open = [
                group for group in state.open if not any(option.name in state.selected for option in group[1])
            ]

    def _follow(self, state: _State, package: Package) -> None:
        """Note what a selected package needs, and select what it needs without a choice, all the way down."""
        pending = [package]
        while pending:
            current = pending.pop(0)
            for group in dependencies(current):
                options = self._choice.alternatives(group)
                if any(option.name in state.selected for option in options):
                    continue
                if not options:
                    text = " | ".join(map(str, group))
                    raise _Refused(
                        state.chain(current.name), f"{text}, which {_availability(group, self._choice.universe)}"
                    )
                if len(options) == 1:
                    self._select(state, options[0], current.name)
                    pending.append(options[0])
                else:
                    state.open.append((current.name, options))

    def _select(self, state: _State, package: Package, parent: str | None) -> None:
        if package.name in state.selected:
            return
        if package.name in state.excluded:
            raise _Refused(
                state.chain(parent) if parent else package.name,
                f"{package.name}, which is excluded by {state.excluded[package.name]}",
            )
        state.selected[package.name] = parent
        for relation, other in self._choice.enemies(package):
            if other.name in state.selected:
                raise _Refused(
                    state.chain(package.name),
                    f"{other.name} to be absent (it conflicts with {relation}), but {state.chain(other.name)}",
                )
            state.excluded.setdefault(other.name, f"{state.chain(package.name)} (conflicts with {relation})")


def _refusal(refused: _Refused, requests: Sequence[str], origins: Mapping[str, str]) -> InvarError:
    root = refused.chain.partition(" → ")[0]
    return InvarError(
        f"package {root} cannot be installed" if root in requests else "these packages cannot be installed together",
        where=origins.get(root),
        why=f"{refused.chain} needs {refused.reason}",
        hint="leave out one of the packages that exclude one another; newer packages come with `invar lock --update`",
    )


def _solution(choice: Choice, selected: frozenset[str]) -> Solution:
    def satisfying(text: str, own: str) -> tuple[str, ...]:
        found: set[str] = set()
        for group in parse_relations(text):
            found |= {option.name for option in choice.alternatives(group)} & selected
        return tuple(sorted(found - {own}))

    packages = {name: package for name in sorted(selected) if (package := choice.universe.find(name))}
    return Solution(
        packages,
        {name: satisfying(package.pre_depends, name) for name, package in packages.items()},
        {name: satisfying(package.depends, name) for name, package in packages.items()},
    )


def _check_known(name: str, universe: Universe, origins: Mapping[str, str]) -> None:
    if universe.find(name) is not None:
        return
    providers = [package.name for package, _ in universe.providers(name)]
    if providers:
        raise InvarError(
            f"{name} is a virtual package",
            where=origins.get(name),
            hint=f"ask for one that provides it: {', '.join(providers[:8])}",
        )
    near = nearest(name, universe.names())
    raise InvarError(
        f"there is no package {name}",
        where=origins.get(name),
        hint=f"did you mean {' or '.join(near)}?" if near else "look for its name in Debian's package list",
    )


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Up to three names that look like this one, the likest first."""
    similar = [other for other in names if abs(len(other) - len(name)) <= 3]
    return difflib.get_close_matches(name, similar, n=3, cutoff=0.7)


def _availability(group: Alternatives, universe: Universe) -> str:
    found = [package for relation in group if (package := universe.find(relation.name))]
    if not found:
        return "the archive does not have"
    return "the archive has only as " + ", ".join(f"{package.name} {package.version}" for package in found)
