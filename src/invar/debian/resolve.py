"""From requests to a lock: take the indices, choose the packages, write down exactly which they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from pysequoia import Cert

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.debian.archive import Archive
from invar.debian.index import Package, Universe
from invar.debian.lock import Lock, LockedIndex, LockedPackage, parse_date
from invar.debian.mirrors import Mirrors
from invar.debian.release import load_keyring
from invar.debian.solver import Solution, solve
from invar.store.objects import Store
from invar.store.transport import Transport

SUITE = "trixie"
COMPONENT = "main"


def make_lock(
    image_requests: Collection[str],
    tools_requests: Collection[str],
    mirrors: Mirrors,
    store: Store,
    report: Report,
    *,
    origins: Mapping[str, str],
    now: datetime,
    previous: Lock | None = None,
    update: bool = False,
    architecture: str = "amd64",
    suite: str = SUITE,
    keyring: Sequence[Cert] | None = None,
    locked_mirrors: Sequence[str] = (),
    universe: Universe | None = None,
) -> Lock:
    """The lock for these packages.

    With `previous` and no `update` the indices that it pins are used again, so that only what the requests change is
    changed; else the newest are taken, verified with `keyring` (default: the archive's keys that Invar ships) and fresh
    at `now`. A `universe` that `open_universe` gave is used instead, when there is one. `origins` maps a request to its
    "file:line". `locked_mirrors` are written into the lock (default: the previous lock's).

    Raises InvarError: no index, a wrong signature, an unknown package, requests that exclude one another.
    """
    if universe is None:
        universe = open_universe(
            mirrors,
            store,
            report,
            now=now,
            previous=None if update else previous,
            architecture=architecture,
            suite=suite,
            keyring=keyring,
        )
    if update and previous:
        _warn_if_older(previous, universe.locked, report)
    with report.stage("solve"):
        image = solve(image_requests, universe, origins=origins, architecture=architecture)
        tools = solve(tools_requests, universe, origins=origins, architecture=architecture)
    return Lock(
        architecture=architecture,
        date=max(locked.date for locked in universe.locked),
        indices=universe.locked,
        requests=tuple(sorted(set(image_requests))),
        tool_requests=tuple(sorted(set(tools_requests))),
        image=tuple(image.packages),
        tools=tuple(tools.packages),
        packages=_locked_packages(image, tools),
        mirrors=tuple(locked_mirrors) or (previous.mirrors if previous else ()),
    )


def open_universe(
    mirrors: Mirrors,
    store: Store,
    report: Report,
    *,
    now: datetime,
    previous: Lock | None = None,
    architecture: str = "amd64",
    suite: str = SUITE,
    keyring: Sequence[Cert] | None = None,
) -> Universe:
    """Everything that the archive offers: by the indices that `previous` pins, or else the newest.

    Errors as of `make_lock`.
    """
    transport = Transport(proxies=mirrors.proxies)
    archive = Archive(mirrors, load_keyring() if keyring is None else keyring, store, transport)
    with report.stage("index") as stage:
        stage.cached = previous is not None
        if previous is None:
            return Universe([archive.newest(name, COMPONENT, architecture, now) for name in suites_of(suite)])
        return Universe([(locked, archive.pinned(locked, architecture, previous.date)) for locked in previous.indices])


def suites_of(suite: str) -> tuple[str, ...]:
    """The suites that together are a stable release: itself, its updates and its security updates."""
    return (suite, f"{suite}-updates", f"{suite}-security")


def _warn_if_older(previous: Lock, indices: Sequence[LockedIndex], report: Report) -> None:
    dates = {index.suite: parse_date(index.date) for index in previous.indices}
    for index in indices:
        if index.suite in dates and parse_date(index.date) < dates[index.suite]:
            report.warn(
                f"the mirror's index of {index.suite} is from {index.date}, older than the lock's "
                f"({dates[index.suite]:%Y-%m-%dT%H:%M:%SZ}): the mirror lags behind"
            )


def _locked_packages(*solutions: Solution) -> dict[str, LockedPackage]:
    found: dict[str, LockedPackage] = {}
    for solution in solutions:
        for name, package in solution.packages.items():
            locked = _locked(package, solution)
            other = found.get(name)
            if other is not None:
                locked = dataclasses.replace(
                    locked,
                    pre_depends=tuple(sorted({*locked.pre_depends, *other.pre_depends})),
                    depends=tuple(sorted({*locked.depends, *other.depends})),
                )
            found[name] = locked
    return dict(sorted(found.items()))


def _locked(package: Package, solution: Solution) -> LockedPackage:
    if package.path.startswith("/") or ".." in package.path.split("/"):
        raise InvarError(f"the index gives {package.name} a path outside of the archive", why=package.path)
    return LockedPackage(
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        path=package.path,
        sha256=package.sha256,
        size=package.size,
        suite=package.suite,
        essential=package.essential,
        pre_depends=solution.pre_depends[package.name],
        depends=solution.depends[package.name],
    )
