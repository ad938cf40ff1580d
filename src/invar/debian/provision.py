"""From locked packages to unpacked ones: each .deb is unpacked while others are still being received."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from invar.core.events import Report
from invar.debian import deb
from invar.debian.deb import UnpackedDeb
from invar.debian.lock import LockedPackage
from invar.debian.mirrors import Mirrors
from invar.store.objects import Store


def fetch_and_unpack(
    packages: Iterable[LockedPackage],
    store: Store,
    mirrors: Mirrors,
    report: Report,
    *,
    date: str | None = None,
    workers: int | None = None,
) -> dict[str, UnpackedDeb]:
    """Every package unpacked in the store, by name, in the order in which they were given.

    A package that is unpacked already is not fetched. `workers` threads unpack (default: one a processor):
    decompression runs outside of Python's global lock. Errors as of `fetch.fetch_each` and `deb.unpack`.
    """
    wanted = list(packages)
    unpacked: dict[str, UnpackedDeb] = {}
    absent = []
    with report.stage("unpack") as stage:
        for package in wanted:
            found = deb.find(store, package.sha256)
            if found is None:
                absent.append(package)
            else:
                unpacked[package.name] = found
        stage.cached = not absent
        if absent:
            unpacked |= _unpack_all(absent, store, mirrors, report, date, workers or os.cpu_count() or 1)
    return {package.name: unpacked[package.name] for package in wanted}


def _unpack_all(
    packages: list[LockedPackage],
    store: Store,
    mirrors: Mirrors,
    report: Report,
    date: str | None,
    workers: int,
) -> dict[str, UnpackedDeb]:
    from invar.debian.fetch import fetch_each  # the HTTP client is not loaded by builds that fetch nothing

    futures: dict[str, Future[UnpackedDeb]] = {}
    executor = ThreadPoolExecutor(workers, thread_name_prefix="unpack")

    stopped = threading.Event()

    def unpack(path: Path, sha256: str) -> UnpackedDeb:
        return deb.unpack(path, store, sha256=sha256, cancelled=stopped.is_set)

    try:
        for package, path in fetch_each(packages, store, mirrors, report, date=date):
            futures[package.name] = executor.submit(unpack, path, package.sha256)
        return {name: future.result() for name, future in futures.items()}
    finally:
        stopped.set()
        executor.shutdown(wait=True, cancel_futures=True)
