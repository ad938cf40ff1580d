"""The Packages index of a suite as a SQLite file in the store, keyed by the index's hash."""

from __future__ import annotations

import errno
import hashlib
import lzma
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.debian.lock import LockedIndex
from invar.debian.relations import parse_relations
from invar.debian.version import version_key
from invar.store.objects import Store

KIND = "index"
_FORMAT = "1"
_FIELDS = (
    "Package",
    "Version",
    "Architecture",
    "Filename",
    "SHA256",
    "Size",
    "Priority",
    "Essential",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Conflicts",
    "Breaks",
)
_FIELD = re.compile(rf"^({'|'.join(_FIELDS)}):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_NUMBER = {name: number for number, name in enumerate(_FIELDS)}
_REQUIRED = _FIELDS[:6]


@dataclass(frozen=True, slots=True)
class Package:
    """A package of an index: the fields that matter for choosing it. Relation fields are as there ("" when absent)."""

    name: str
    version: str
    architecture: str
    path: str
    sha256: str
    size: int
    priority: str
    essential: bool
    pre_depends: str
    depends: str
    provides: str
    conflicts: str
    breaks: str
    suite: str


@dataclass(frozen=True, slots=True)
class Provider:
    """A package that provides a name, in `version` if the Provides has one."""

    package: str
    version: str | None


class Index:
    """One parsed Packages file."""

    def __init__(self, path: Path, suite: str) -> None:
        self.suite = suite
        # Evaluation asks from its thread with the large stack; the file is immutable and SQLite serialises access.
        self._connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, check_same_thread=False)

    def packages(self, name: str) -> list[Package]:
        """Every version of this name in the index, usually one."""
        rows = self._connection.execute("SELECT * FROM packages WHERE name = ?", (name,))
        return [self._package(row) for row in rows]

    def providers(self, name: str) -> list[Provider]:
        """Who provides this name."""
        rows = self._connection.execute("SELECT package, version FROM provides WHERE name = ? ORDER BY 1", (name,))
        return [Provider(package, version) for package, version in rows]

    def base(self) -> list[str]:
        """Names of packages that are Essential or of priority required."""
        query = "SELECT DISTINCT name FROM packages WHERE essential = 'yes' OR priority = 'required' ORDER BY 1"
        return [name for (name,) in self._connection.execute(query)]

    def names(self) -> list[str]:
        """Names of all packages, sorted."""
        return [name for (name,) in self._connection.execute("SELECT DISTINCT name FROM packages ORDER BY 1")]

    def _package(self, row: Sequence[str]) -> Package:
        name, version, architecture, path, sha256, size, priority, essential = row[:8]
        pre_depends, depends, provides, conflicts, breaks = row[8:]
        return Package(
            name=name,
            version=version,
            architecture=architecture,
            path=path,
            sha256=sha256,
            size=int(size),
            priority=priority,
            essential=essential == "yes",
            pre_depends=pre_depends,
            depends=depends,
            provides=provides,
            conflicts=conflicts,
            breaks=breaks,
            suite=self.suite,
        )


class Universe:
    """What the indices of several suites offer together: of every name the newest version, as apt would choose."""

    def __init__(self, indices: Sequence[tuple[LockedIndex, Index]]) -> None:
        self.locked = tuple(locked for locked, _ in indices)
        """What a lock writes down of the indices."""
        self._indices = tuple(index for _, index in indices)
        self._candidates: dict[str, Package | None] = {}
        self._names: list[str] | None = None

    def find(self, name: str) -> Package | None:
        """The newest version of a package."""
        if name not in self._candidates:
            found = [package for index in self._indices for package in index.packages(name)]
            self._candidates[name] = max(found, key=lambda package: version_key(package.version), default=None)
        return self._candidates[name]

    def providers(self, name: str) -> list[tuple[Package, str | None]]:
        """The newest packages that provide a name, each with the version that it provides, by package name."""
        packages = sorted({provider.package for index in self._indices for provider in index.providers(name)})
        found = []
        for package in filter(None, map(self.find, packages)):
            for (relation,) in parse_relations(package.provides):
                if relation.name == name:
                    found.append((package, relation.version))
        return found

    def base(self) -> list[str]:
        """Essential packages and those of priority required, sorted."""
        names = sorted({name for index in self._indices for name in index.base()})
        packages = filter(None, map(self.find, names))
        return [package.name for package in packages if package.essential or package.priority == "required"]

    def names(self) -> list[str]:
        """Names of all packages, sorted."""
        if self._names is None:
            self._names = sorted({name for index in self._indices for name in index.names()})
        return self._names

    def version(self, name: str) -> str | None:
        """The newest version of a package, None if there is none."""
        package = self.find(name)
        return package.version if package else None

    def digest(self, name: str) -> str | None:
        """The SHA-256 of the newest version's .deb, None if there is none."""
        package = self.find(name)
        return package.sha256 if package else None


def find_index(store: Store, sha256: str, suite: str) -> Index | None:
    """The index whose Packages.xz has this SHA-256, if the store has it parsed."""
    path = store.find(KIND, _key(sha256))
    return Index(path, suite) if path else None


def parse_index(store: Store, data: bytes, suite: str, *, where: str) -> Index:
    """Parse a Packages.xz into the store (once) and open it. `data` has been checked against its hash already.

    Raises InvarError when it is not xz or not an index.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    with store.creating(KIND, _key(sha256)) as temporary:
        if temporary is not None:
            try:
                text = lzma.decompress(data).decode("utf-8")
                _write(temporary, parse_packages(text))
            except (lzma.LZMAError, ValueError) as error:
                raise InvarError("the package index is malformed", where=where, why=str(error)) from error
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    raise OSError(errno.ENOSPC, str(error), str(temporary)) from error
                raise
    return Index(store.path(KIND, _key(sha256)), suite)


def parse_packages(text: str) -> Iterator[list[str]]:
    """The columns of `_FIELDS` of every paragraph. Raises ValueError for a paragraph that lacks a mandatory field."""
    find = _FIELD.findall
    for paragraph in text.split("\n\n"):
        if not paragraph.strip():
            continue
        row = [""] * len(_FIELDS)
        for name, value in find(paragraph):
            row[_NUMBER[name]] = value
        for name in _REQUIRED:
            if not row[_NUMBER[name]]:
                raise ValueError(f"the paragraph of {row[0] or '(no name)'} lacks {name}")
        yield row


def _write(path: Path, rows: Iterable[list[str]]) -> None:
    columns = ", ".join(name.lower().replace("-", "_") for name in ("name", *_FIELDS[1:]))
    provides: list[tuple[str, str, str | None]] = []

    def noting_provides() -> Iterator[list[str]]:
        for row in rows:
            if row[_NUMBER["Provides"]]:
                provides.extend(_provides(row[0], row[_NUMBER["Provides"]]))
            yield row

    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "BEGIN"):
            connection.execute(statement)
        connection.execute(f"CREATE TABLE packages ({columns})")
        connection.execute("CREATE TABLE provides (name, package, version)")
        marks = ", ".join("?" * len(_FIELDS))
        connection.executemany(f"INSERT INTO packages VALUES ({marks})", noting_provides())
        connection.executemany("INSERT INTO provides VALUES (?, ?, ?)", provides)
        connection.execute("CREATE INDEX by_name ON packages (name)")
        connection.execute("CREATE INDEX by_provided ON provides (name)")
        connection.execute("COMMIT")
    finally:
        connection.close()


def _provides(package: str, text: str) -> Iterator[tuple[str, str, str | None]]:
    for alternatives in parse_relations(text):
        for relation in alternatives:
            yield relation.name, package, relation.version


def _key(sha256: str) -> str:
    return f"{sha256}-{_FORMAT}"
