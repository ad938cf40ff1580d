"""Downloads: every .deb by its SHA-256 into the store, in parallel, resumed, from several mirrors in order."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.debian.lock import LockedPackage
from invar.debian.mirrors import Mirrors
from invar.store.objects import Store
from invar.store.transport import CHUNK, TransferError, Transport

KIND = "deb"
CONNECTIONS = 12
ATTEMPTS = 4
FIRST_BACKOFF = 0.5
SLOWEST = 100_000
"""Bytes per second below which all downloads together count as hopeless."""
LEAST_SECONDS = 600.0


def fetch(
    packages: Iterable[LockedPackage],
    store: Store,
    mirrors: Mirrors,
    report: Report,
    *,
    date: str | None = None,
) -> dict[str, Path]:
    """Every package's .deb in the store, by name. `date` is the lock's, for snapshot mirrors.

    Errors as of `fetch_each`.
    """
    return {package.name: path for package, path in fetch_each(packages, store, mirrors, report, date=date)}


def fetch_each(
    packages: Iterable[LockedPackage],
    store: Store,
    mirrors: Mirrors,
    report: Report,
    *,
    date: str | None = None,
) -> Iterator[tuple[LockedPackage, Path]]:
    """Give each package with its .deb as it arrives, those already in the store first, then large ones early.

    Raises InvarError after all others have been given: for a wrong hash, an unreachable mirror, or packages that no
    mirror has, all named at once. Leaving the iterator stops the downloads; what was received is kept and continued
    next time.
    """
    wanted = list({package.sha256: package for package in packages}.values())
    absent: list[LockedPackage] = []
    with report.stage("fetch") as stage:
        for package in wanted:
            path = store.find(KIND, package.sha256)
            if path is not None and path.stat().st_size != package.size:  # a power cut can leave a file empty
                store.discard(KIND, package.sha256)
                path = None
            if path is None:
                absent.append(package)
            else:
                yield package, path
        stage.cached = not absent
        if not absent:
            return
        download = _Download(absent, store, mirrors, date)
        done, total = 0, sum(package.size for package in absent)
        try:
            download.start()
            for package, path in download.arrivals():
                done += package.size
                stage.progress(done, total, "bytes")
                yield package, path
        finally:
            download.stop()
        download.raise_failures(mirrors)


@dataclass(slots=True)
class _Failure:
    package: LockedPackage
    answers: list[TransferError] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)


class _Stopped(Exception):
    """The user or an error elsewhere ended the run."""


class _GaveUp(Exception):
    """No mirror had the package."""


class _Download:
    """The worker threads of one run and what came of their work."""

    def __init__(self, packages: list[LockedPackage], store: Store, mirrors: Mirrors, date: str | None) -> None:
        self._store = store
        self._mirrors = mirrors
        self._date = date
        self._count = len(packages)
        self._threads = min(CONNECTIONS, self._count)
        self._transport = Transport(connections=self._threads, proxies=mirrors.proxies)
        total = sum(package.size for package in packages)
        self._deadline = time.monotonic() + max(LEAST_SECONDS, total / SLOWEST)
        self._work: queue.SimpleQueue[LockedPackage] = queue.SimpleQueue()
        for package in sorted(packages, key=lambda package: (-package.size, package.name)):
            self._work.put(package)
        self._arrived: queue.SimpleQueue[tuple[LockedPackage, Path] | _Failure | BaseException] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._dead: dict[str, TransferError] = {}
        self._failures: list[_Failure] = []

    def start(self) -> None:
        for number in range(self._threads):
            # Daemons: a thread that waits for another process's lock must not keep an interrupted run alive.
            threading.Thread(target=self._run, name=f"fetch-{number}", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def arrivals(self) -> Iterator[tuple[LockedPackage, Path]]:
        for _ in range(self._count):
            item = self._arrived.get()
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, _Failure):
                self._failures.append(item)
            else:
                yield item

    def raise_failures(self, mirrors: Mirrors) -> None:
        if self._failures:
            raise _error(sorted(self._failures, key=lambda failure: failure.package.name), mirrors)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                package = self._work.get_nowait()
            except queue.Empty:
                return
            try:
                self._arrived.put(self._obtain(package))
            except _Stopped:
                return
            except BaseException as error:  # handed to the thread that waits, which raises it
                self._arrived.put(error)
                return

    def _obtain(self, package: LockedPackage) -> tuple[LockedPackage, Path] | _Failure:
        failure = _Failure(package)
        final = self._store.path(KIND, package.sha256)
        try:
            with self._store.creating(KIND, package.sha256, resumable=True) as partial:
                if partial is not None and not self._from_any_mirror(package, partial, failure):
                    raise _GaveUp
        except _GaveUp:
            return failure
        return package, final

    def _from_any_mirror(self, package: LockedPackage, partial: Path, failure: _Failure) -> bool:
        for mirror in self._mirrors.serving(package.suite, self._date):
            if self._from_mirror(mirror, package, partial, failure):
                return True
        if partial.exists() and not partial.stat().st_size:
            partial.unlink()
        return False

    def _from_mirror(self, mirror: str, package: LockedPackage, partial: Path, failure: _Failure) -> bool:
        address = f"{mirror}/{package.path}"
        for attempt in range(ATTEMPTS):
            if mirror in self._dead:
                failure.answers.append(self._dead[mirror])
                return False
            if attempt and self._stop.wait(FIRST_BACKOFF * 2 ** (attempt - 1)):
                raise _Stopped
            try:
                received = self._transfer(address, package, partial)
            except TransferError as error:
                if self._is_final(error, attempt):
                    if error.fault == "unreachable":
                        self._dead[mirror] = error
                    failure.answers.append(error)
                    return False
            else:
                if received == package.sha256:
                    return True
                partial.unlink()
                failure.altered.append(address)
                return False
        return False

    def _is_final(self, error: TransferError, attempt: int) -> bool:
        attempts = {"missing": 1, "unreachable": 2, "broken": ATTEMPTS}[error.fault]
        return attempt + 1 >= attempts or time.monotonic() >= self._deadline

    def _transfer(self, address: str, package: LockedPackage, partial: Path) -> str:
        """Receive what is missing of a file; its SHA-256."""
        hasher = hashlib.sha256()
        with partial.open("ab") as file:
            offset = file.tell()
            if offset >= package.size:
                offset = 0
            with self._transport.open(address, offset=offset, deadline=self._deadline) as body:
                file.truncate(body.start)
                if body.start:
                    _hash_file(partial, hasher)
                size = body.start
                for chunk in body.chunks:
                    if self._stop.is_set():
                        raise _Stopped
                    file.write(chunk)
                    hasher.update(chunk)
                    size += len(chunk)
                    if size > package.size:
                        break
        if size < package.size:
            raise TransferError("broken", address, f"it ended after {size} of {package.size} bytes")
        return hasher.hexdigest()


def _hash_file(path: Path, hasher: hashlib._Hash) -> None:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            hasher.update(chunk)


def _error(failures: list[_Failure], mirrors: Mirrors) -> InvarError:
    altered = [failure for failure in failures if failure.altered]
    if altered:
        return InvarError(
            f"{_count(altered)} differ from the lock: the SHA-256 is wrong",
            where=altered[0].altered[0],
            why="\n".join(f"{_title(failure.package)} from {', '.join(failure.altered)}" for failure in altered),
            hint="the files were thrown away; try another mirror (INVAR_MIRROR), and do not trust this one",
        )
    if all(answer.fault == "unreachable" for failure in failures for answer in failure.answers):
        answers = {str(answer.address): answer for failure in failures for answer in failure.answers}
        reasons = sorted({f"{_host(address)}: {answer.reason}" for address, answer in answers.items()})
        return InvarError(
            "no mirror can be reached",
            where=mirrors.source,
            why="\n".join(reasons) or "no mirror serves this suite",
            hint="check the network, or name another mirror with INVAR_MIRROR; what is fetched already is kept",
        )
    lines = []
    for failure in failures:
        answers_text = "; ".join(f"{_host(answer.address)}: {answer.reason}" for answer in failure.answers)
        lines.append(f"{_title(failure.package)}: {answers_text or 'no mirror serves this suite'}")
    gone = all(answer.fault == "missing" for failure in failures for answer in failure.answers)
    return InvarError(
        f"{_count(failures)} can not be had from any mirror",
        where=mirrors.source,
        why="\n".join(lines),
        hint=(
            "mirrors drop superseded versions: run `invar lock --update`, or add a snapshot archive to INVAR_MIRRORS"
            if gone
            else "run it again to continue; if it stays so, name another mirror with INVAR_MIRROR"
        ),
    )


def _count(failures: list[_Failure]) -> str:
    return "1 package" if len(failures) == 1 else f"{len(failures)} packages"


def _title(package: LockedPackage) -> str:
    return f"{package.name} {package.version}"


def _host(address: str) -> str:
    scheme, _, rest = address.partition("://")
    return address if scheme == "file" else rest.partition("/")[0]
