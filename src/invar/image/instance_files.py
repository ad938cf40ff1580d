"""What an instance needs to evaluate and switch by itself: Invar's own code, and the record of what is in its image.

It goes into the config layer: a new Invar then leaves the packages layer, the big one, as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.image.erofs import File
from invar.image.layer import Layer, PackagesLayer
from invar.system.decode import system_from_data
from invar.system.record import System
from invar.system.secrets import find_secrets, refuse_secrets

CODE = "usr/lib/invar"
COMMAND = "usr/bin/invar"
RECORD = "etc/invar/image.json"
CONFIGURATION = "etc/invar/configuration"
SCHEMA = 1

ROOMS = ("nix", "core", "modules", "nixos", "system", "machine")
"""Packages of Invar that are there whole; none of them needs more than the standard library."""

SINGLE_FILES = (
    "__init__.py",
    "image/__init__.py",
    "image/accounts.py",
    "image/cmdline.py",
    "image/config_layer.py",
    "image/crc32c.py",
    "image/erofs.py",
    "image/instance_files.py",
    "image/layer.py",
    "image/publication.py",
    "image/uki.py",
    "image/verity.py",
    "store/__init__.py",
    "store/objects.py",
    "store/trees.py",
)
"""The half of other rooms that makes config layers."""

_SUFFIXES = (".py", ".nix", ".json", ".gz")
_LAUNCHER = """\
#!/usr/bin/python3 -IB
import sys

sys.path.insert(0, "/usr/lib/invar")
from invar.machine.__main__ import main

sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What /etc/invar/image.json says: everything beside the configuration that a system is a function of.

    `universe` maps each locked Debian package to its version and the SHA-256 of its .deb; `epoch` is the lock's release
    date in seconds since 1970; `entry` is the configuration's file below /etc/invar/configuration.
    """

    system: System
    packages: PackagesLayer
    universe: dict[str, tuple[str, str]]
    epoch: int
    entry: str

    def version(self, name: str) -> str | None:
        """The locked version of a Debian package (this is a `Universe`)."""
        found = self.universe.get(name)
        return found[0] if found else None

    def digest(self, name: str) -> str | None:
        """The SHA-256 of a locked .deb."""
        found = self.universe.get(name)
        return found[1] if found else None

    def to_json(self) -> bytes:
        """Canonical JSON."""
        layer = self.packages.layer
        return canonical_json(
            {
                "schema": SCHEMA,
                "system": self.system.to_data(),
                "packages": {
                    "key": layer.key,
                    "root_hash": layer.root_hash,
                    "salt": layer.salt,
                    "data_blocks": layer.data_blocks,
                    "total_blocks": layer.total_blocks,
                    "kernel_version": self.packages.kernel_version,
                    "accounts": self.packages.accounts,
                    "programs": self.packages.programs,
                    "packages": self.packages.packages,
                },
                "universe": self.universe,
                "epoch": self.epoch,
                "entry": self.entry,
            }
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ImageRecord:
        """The inverse of `to_json`, from parsed JSON. Raises InvarError for a record of another Invar."""
        if data.get("schema") != SCHEMA:
            raise InvarError(
                f"the record of this image has schema {data.get('schema')}, this Invar reads {SCHEMA}",
                where=f"/{RECORD}",
            )
        found = data["packages"]
        nowhere = Path("/run/invar/packages")
        layer = Layer(
            "packages",
            found["key"],
            nowhere,
            found["data_blocks"],
            found["total_blocks"],
            found["root_hash"],
            found["salt"],
        )
        packages = PackagesLayer(
            layer=layer,
            kernel=nowhere,
            kernel_version=found["kernel_version"],
            modules=nowhere,
            accounts=found["accounts"],
            programs={name: tuple(paths) for name, paths in found["programs"].items()},
            packages=found["packages"],
        )
        universe = {name: (version, sha256) for name, (version, sha256) in data["universe"].items()}
        return cls(system_from_data(data["system"]), packages, universe, data["epoch"], data["entry"])


def instance_files(record: ImageRecord, sources: Mapping[str, bytes], code: Mapping[str, bytes]) -> dict[str, File]:
    """All files by path in the config layer.

    `sources` are the configuration's files by path relative to its directory, `code` what `own_code` gave with what
    was compiled of it, or `installed_code`. Raises InvarError when a source holds a secret.
    """
    refuse_secrets(
        finding
        for path, content in sources.items()
        for finding in find_secrets(content.decode("utf-8", "replace"), f"/{CONFIGURATION}/{path}", path)
    )
    files = {f"{CODE}/invar/{path}": File(content, 0o444) for path, content in code.items()}
    files |= {f"{CONFIGURATION}/{path}": File(content, 0o600) for path, content in sources.items()}
    files[COMMAND] = File(_LAUNCHER.encode(), 0o555)
    files[RECORD] = File(record.to_json(), 0o600)
    return files


def own_code() -> dict[str, bytes]:
    """The sources of this very Invar that run on an instance, by path below the package. The same on every machine."""
    root = Path(__file__).resolve().parent.parent
    return {str(path): (root / path).read_bytes() for path in sorted(_own_paths(root))}


def installed_code() -> dict[str, bytes]:
    """On an instance: all that the image brought of Invar, compiled code too, by path below the package."""
    root = Path(__file__).resolve().parent.parent
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def _own_paths(root: Path) -> Iterator[PurePosixPath]:
    yield from map(PurePosixPath, SINGLE_FILES)
    for room in ROOMS:
        for path in (root / room).rglob("*"):
            if path.suffix in _SUFFIXES and path.is_file():
                yield PurePosixPath(path.relative_to(root).as_posix())
