"""The lock: the exact packages of a configuration, as the record and as the file `invar.lock`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from invar.core.canonical import digest
from invar.core.errors import InvarError

SCHEMA = 1
ARCHITECTURES = ("amd64", "arm64")


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package of the lock.

    `path` is relative to the mirror's root (`pool/...`), `sha256` and `size` (bytes) are the .deb's. `suite` says which
    archive it comes from. `depends` and `pre_depends` name the locked packages that satisfy those fields.
    """

    name: str
    version: str
    architecture: str
    path: str
    sha256: str
    size: int
    suite: str
    essential: bool = False
    pre_depends: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()

    @property
    def security(self) -> bool:
        """Whether it comes from a security suite, which has mirrors of its own."""
        return is_security(self.suite)


@dataclass(frozen=True, slots=True)
class LockedIndex:
    """One signed index: `date` of the release (ISO 8601, UTC), SHA-256 of its InRelease file and of its Packages.xz."""

    suite: str
    component: str
    date: str
    inrelease: str
    packages: str


@dataclass(frozen=True, slots=True)
class Lock:
    """An exact package universe for one configuration.

    `requests` and `tool_requests` are the names that were asked for; `image` and `tools` the full sets that they need,
    all sorted. `date` is the newest index's (ISO 8601, UTC). `mirrors` are mirror URIs of the user's choice, usually
    none: they are not part of the identity.
    """

    architecture: str
    date: str
    indices: tuple[LockedIndex, ...]
    requests: tuple[str, ...]
    tool_requests: tuple[str, ...]
    image: tuple[str, ...]
    tools: tuple[str, ...]
    packages: Mapping[str, LockedPackage]
    mirrors: tuple[str, ...] = field(default=(), compare=False)

    @property
    def epoch(self) -> int:
        """SOURCE_DATE_EPOCH of everything built from this lock: `date` in seconds since 1970."""
        return int(parse_date(self.date).timestamp())

    @property
    def digest(self) -> str:
        """SHA-256 of the lock without its mirrors."""
        return digest(self.to_data())

    def to_data(self) -> dict[str, Any]:
        """The lock as plain JSON data, without its mirrors: they are no part of its identity."""
        data = _to_data(self)
        del data["mirrors"]
        return data

    def version(self, name: str) -> str | None:
        """The version of a locked package, None for others."""
        package = self.packages.get(name)
        return package.version if package else None

    def sha256(self, name: str) -> str | None:
        """The SHA-256 of a locked package's .deb, None for others."""
        package = self.packages.get(name)
        return package.sha256 if package else None

    def image_packages(self) -> list[LockedPackage]:
        """The image's packages in configuration order: each after what it depends on, as far as there are no cycles."""
        return self.ordered(self.image)

    def tool_packages(self) -> list[LockedPackage]:
        """The tools' packages in configuration order."""
        return self.ordered(self.tools)

    def ordered(self, names: Collection[str]) -> list[LockedPackage]:
        """Packages of these names in configuration order.

        Deterministic: depth first over Pre-Depends, then Depends, names sorted, Essential packages first. A cycle is
        broken where the walk enters it.
        """
        wanted = set(names)
        done: set[str] = set()
        order: list[LockedPackage] = []
        for root in sorted(wanted, key=lambda name: (not self.packages[name].essential, name)):
            pending: list[tuple[str, bool]] = [(root, False)]
            while pending:
                name, expanded = pending.pop()
                if expanded:
                    order.append(self.packages[name])
                    continue
                if name in done:
                    continue
                done.add(name)
                package = self.packages[name]
                pending.append((name, True))
                following = [*sorted(package.pre_depends), *sorted(package.depends)]
                pending.extend((other, False) for other in reversed(following) if other in wanted and other not in done)
        return order


def is_security(suite: str) -> bool:
    """Whether a suite lives in the security archive."""
    return suite.endswith("-security")


def parse_date(date: str) -> datetime:
    """An ISO 8601 date of a lock as an aware datetime. Raises ValueError."""
    return datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def format_date(moment: datetime) -> str:
    """An aware datetime as the lock writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_requests(
    lock: Lock,
    requests: Collection[str],
    origins: Mapping[str, str],
    tool_requests: Collection[str] | None = None,
    *,
    where: str | None = None,
) -> None:
    """Raise InvarError unless the lock was made for exactly these packages.

    `origins` maps a request to the "file:line" that asked for it; `where` is the lock's path.
    """
    wanted, locked = set(requests), set(lock.requests)
    added, removed = sorted(wanted - locked), sorted(locked - wanted)
    lines = [f"asked for, not in the lock: {name}{_asked(origins, name)}" for name in added]
    lines += [f"in the lock, no longer asked for: {name}" for name in removed]
    if tool_requests is not None and set(tool_requests) != set(lock.tool_requests):
        lines += [
            f"build tool not in the lock: {name}" for name in sorted(set(tool_requests) - set(lock.tool_requests))
        ]
        lines += [
            f"build tool no longer needed: {name}" for name in sorted(set(lock.tool_requests) - set(tool_requests))
        ]
    if lines:
        raise InvarError(
            "the lock does not match the configuration",
            where=where,
            why="\n".join(lines),
            hint="run `invar lock`; it keeps every version that is locked already",
        )


def read_lock(path: Path) -> Lock:
    """Read `invar.lock`.

    Raises InvarError, with file and line, when it is missing, not JSON, of another schema, or inconsistent.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvarError("there is no lock yet", where=str(path), hint="run `invar lock`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvarError("cannot read the lock", where=str(path), why=str(error)) from error
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvarError(
            "the lock is not valid JSON",
            where=f"{path}:{error.lineno}:{error.colno}",
            why=_conflict(text) or error.msg,
            hint="restore it from version control, or delete it and run `invar lock`",
        ) from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise InvarError(
            f"the lock has schema {schema!r}, this Invar reads schema {SCHEMA}",
            where=f"{path}:{_line(text, 'schema')}",
            hint="use the version of Invar that made it, or delete it and run `invar lock`",
        )
    return _checked(
        data,
        lambda place: f"{path}:{_line(text, place)}",
        hint="restore it from version control, or delete it and run `invar lock`",
    )


def lock_from_data(data: Any, where: str) -> Lock:
    """The inverse of `Lock.to_data`. Raises InvarError, with `where` and the entry, for what is no sound lock."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise InvarError(f"this is no lock of schema {SCHEMA}", where=where)
    return _checked(data, lambda place: f"{where}, {place}", hint=None)


def _checked(data: dict[str, Any], where: Callable[[str], str], hint: str | None) -> Lock:
    place = "schema"
    try:
        packages = {}
        for name, item in data["packages"].items():
            place = name
            packages[name] = _package(name, item)
        place = "image"
        return _lock(data, packages)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InvarError("the lock is damaged", where=where(place), why=reason, hint=hint) from error


def write_lock(lock: Lock, path: Path) -> None:
    """Write `invar.lock` in one rename: JSON, sorted, one package a line, so that a diff shows what changed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(format_lock(lock), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise InvarError("cannot write the lock", where=str(path), why=error.strerror) from error
    finally:
        temporary.unlink(missing_ok=True)


def format_lock(lock: Lock) -> str:
    """The text of the lock file."""
    data = _to_data(lock)
    packages = data.pop("packages")
    lines = [f"  {json.dumps(name)}: {json.dumps(item, sort_keys=True)}" for name, item in packages.items()]
    data["packages"] = "@"
    text = json.dumps(data, indent=1, sort_keys=True)
    block = "{\n" + ",\n".join(lines) + "\n }" if lines else "{}"
    return text.replace('"packages": "@"', f'"packages": {block}', 1) + "\n"


def _to_data(lock: Lock) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "architecture": lock.architecture,
        "date": lock.date,
        "indices": [
            {
                "suite": index.suite,
                "component": index.component,
                "date": index.date,
                "inrelease": index.inrelease,
                "packages": index.packages,
            }
            for index in lock.indices
        ],
        "requests": list(lock.requests),
        "tool_requests": list(lock.tool_requests),
        "image": list(lock.image),
        "tools": list(lock.tools),
        "mirrors": list(lock.mirrors),
        "packages": {name: _package_data(package) for name, package in sorted(lock.packages.items())},
    }


def _package_data(package: LockedPackage) -> dict[str, Any]:
    data: dict[str, Any] = {
        "version": package.version,
        "arch": package.architecture,
        "path": package.path,
        "sha256": package.sha256,
        "size": package.size,
        "suite": package.suite,
    }
    if package.essential:
        data["essential"] = True
    if package.pre_depends:
        data["pre_depends"] = list(package.pre_depends)
    if package.depends:
        data["depends"] = list(package.depends)
    return data


def _package(name: str, item: Mapping[str, Any]) -> LockedPackage:
    package = LockedPackage(
        name=name,
        version=_text(item, "version"),
        architecture=_text(item, "arch"),
        path=_text(item, "path"),
        sha256=_hash(item, "sha256"),
        size=int(item["size"]),
        suite=_text(item, "suite"),
        essential=bool(item.get("essential", False)),
        pre_depends=_names(item.get("pre_depends", [])),
        depends=_names(item.get("depends", [])),
    )
    if package.path.startswith("/") or ".." in package.path.split("/"):
        raise ValueError(f"path of {name} leaves the archive: {package.path}")
    return package


def _lock(data: Mapping[str, Any], packages: dict[str, LockedPackage]) -> Lock:
    lock = Lock(
        architecture=_text(data, "architecture"),
        date=_text(data, "date"),
        indices=tuple(
            LockedIndex(
                suite=_text(item, "suite"),
                component=_text(item, "component"),
                date=_text(item, "date"),
                inrelease=_hash(item, "inrelease"),
                packages=_hash(item, "packages"),
            )
            for item in data["indices"]
        ),
        requests=_names(data["requests"]),
        tool_requests=_names(data["tool_requests"]),
        image=_names(data["image"]),
        tools=_names(data["tools"]),
        packages=packages,
        mirrors=_names(data.get("mirrors", [])),
    )
    parse_date(lock.date)
    if lock.architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {lock.architecture}")
    absent = sorted({*lock.image, *lock.tools} - packages.keys())
    if absent:
        raise ValueError(f"no entry under packages for {', '.join(absent)}")
    return lock


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key} must be a string that is not empty")
    return value


def _hash(item: Mapping[str, Any], key: str) -> str:
    value = _text(item, key)
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise ValueError(f"{key} must be a SHA-256 in lower-case hexadecimal")
    return value


def _names(value: Iterable[Any]) -> tuple[str, ...]:
    names = tuple(value) if isinstance(value, list) else (None,)
    if not all(isinstance(name, str) for name in names):
        raise TypeError("expected a list of strings")
    return names


def _asked(origins: Mapping[str, str], name: str) -> str:
    return f" (asked for at {origins[name]})" if name in origins else ""


def _line(text: str, key: str) -> int:
    offset = text.find(json.dumps(key) + ":")
    return text.count("\n", 0, max(offset, 0)) + 1


def _conflict(text: str) -> str | None:
    return "it contains the marks of a merge conflict" if "\n<<<<<<< " in "\n" + text else None
