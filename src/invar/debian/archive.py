"""Getting a suite's signed index from a mirror: the newest one, or the one that a lock pins."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pysequoia import Cert

from invar.core.errors import InvarError
from invar.debian.index import Index, find_index, parse_index
from invar.debian.lock import LockedIndex, format_date
from invar.debian.mirrors import Mirrors
from invar.debian.release import Release, check_fresh, read_release
from invar.store.objects import Store
from invar.store.transport import TransferError, Transport

RELEASE_LIMIT = 16 << 20
INDEX_LIMIT = 128 << 20
SECONDS = 300.0
ATTEMPTS = 3


Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Archive:
    """Where indices come from: mirrors, the keys that are trusted, the store that keeps parsed indices, a transport."""

    mirrors: Mirrors
    keyring: Sequence[Cert]
    store: Store
    transport: Transport

    def newest(self, suite: str, component: str, architecture: str, now: datetime) -> tuple[LockedIndex, Index]:
        """The current index of a suite, verified, and fresh at `now`.

        Mirrors are tried in order; one whose answer is refused is passed over when another one's is good.
        Raises InvarError with the first refusal, or when no mirror answers.
        """

        def attempt(mirror: str) -> tuple[LockedIndex, Index]:
            where = f"{mirror}/dists/{suite}/InRelease"
            text = self._get(where, RELEASE_LIMIT)
            release = read_release(text, self.keyring, suite=suite, where=where)
            check_fresh(release, now, where=where)
            sha256, size = _packages_file(release, component, architecture, where)
            locked = LockedIndex(suite, component, format_date(release.date), release.sha256, sha256)
            return locked, self._index(mirror, locked, architecture, size, by_hash=release.by_hash)

        return self._first(suite, None, attempt)

    def pinned(self, locked: LockedIndex, architecture: str, date: str) -> Index:
        """The index that a lock pins, from the store or by its hash from a mirror. Raises InvarError if it is gone."""
        found = find_index(self.store, locked.packages, locked.suite)
        if found is not None:
            return found
        try:
            return self._first(
                locked.suite, date, lambda mirror: self._index(mirror, locked, architecture, None, by_hash=True)
            )
        except InvarError as error:
            raise InvarError(
                f"the index of {locked.suite} that the lock pins can not be had any more",
                where=error.where,
                why=error.why,
                hint="run `invar lock --update` to take the newest, or name a snapshot archive in INVAR_MIRRORS",
            ) from error

    def _first(self, suite: str, date: str | None, attempt: Callable[[str], Found]) -> Found:
        refusal: InvarError | None = None
        answers = []
        for mirror in self.mirrors.serving(suite, date):
            try:
                return attempt(mirror)
            except TransferError as error:
                answers.append(str(error))
            except InvarError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal
        raise InvarError(
            f"no mirror gives the index of {suite}",
            where=self.mirrors.source,
            why="\n".join(answers) or "no mirror is named for it",
            hint="check the network, or name another mirror with INVAR_MIRROR and INVAR_SECURITY_MIRROR",
        )

    def _index(self, mirror: str, locked: LockedIndex, architecture: str, size: int | None, *, by_hash: bool) -> Index:
        found = find_index(self.store, locked.packages, locked.suite)
        if found is not None:
            return found
        directory = f"{mirror}/dists/{locked.suite}/{locked.component}/binary-{architecture}"
        address = f"{directory}/by-hash/SHA256/{locked.packages}" if by_hash else f"{directory}/Packages.xz"
        data = self._get(address, size or INDEX_LIMIT)
        if hashlib.sha256(data).hexdigest() != locked.packages:
            raise InvarError(
                "the package index is not the one that was signed: its SHA-256 is wrong",
                where=address,
                hint="try again, the mirror may be updating; or name another one with INVAR_MIRROR",
            )
        return parse_index(self.store, data, locked.suite, where=address)

    def _get(self, address: str, limit: int) -> bytes:
        deadline = time.monotonic() + SECONDS
        for attempt in range(ATTEMPTS):
            try:
                return self.transport.get(address, limit=limit, deadline=deadline)
            except TransferError as error:
                if error.fault != "broken" or attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")


def _packages_file(release: Release, component: str, architecture: str, where: str) -> tuple[str, int]:
    path = f"{component}/binary-{architecture}/Packages.xz"
    if path not in release.files:
        raise InvarError(
            f"the archive has no {architecture} packages in {component}",
            where=where,
            why=f"it has {', '.join(release.architectures)}",
        )
    return release.files[path]
