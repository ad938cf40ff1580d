"""What lies beside an image to tell about it: the record that it is a function of, bills of materials, provenance."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.debian.lock import Lock, lock_from_data
from invar.image.closure import CLOSURE_FILE
from invar.image.info import INFO_FILE
from invar.system.decode import system_from_data
from invar.system.options import Setting, settings_from_data, settings_to_data
from invar.system.record import System

SCHEMA = 1
RECORD_FILE = "image-record.json"
SPDX_FILE = "sbom.spdx.json"
CYCLONEDX_FILE = "sbom.cdx.json"
PROVENANCE_FILE = "provenance.json"
SIGNED_FILE = "provenance.dsse.json"
DOCUMENTS = (RECORD_FILE, CLOSURE_FILE, SPDX_FILE, CYCLONEDX_FILE, PROVENANCE_FILE, SIGNED_FILE)
"""All but image-info.json, in the order in which they come about."""


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """What an image is a function of: the system, the lock, and what the configuration's own files set."""

    system: System
    lock: Lock
    settings: dict[str, Setting]

    def encode(self) -> bytes:
        """As canonical JSON with a final line break."""
        data = {
            "schema": SCHEMA,
            "system": self.system.to_data(),
            "lock": self.lock.to_data(),
            "options": settings_to_data(self.settings),
        }
        return canonical_json(data) + b"\n"

    @classmethod
    def decode(cls, data: bytes, where: str) -> BuildRecord:
        """The inverse. Raises InvarError, with `where`, for anything else."""
        found = json_object(data, where)
        if found.get("schema") != SCHEMA:
            raise InvarError(f"the image's record has schema {found.get('schema')!r}, not {SCHEMA}", where=where)
        try:
            system, lock, options = found["system"], found["lock"], found["options"]
        except KeyError as error:
            raise InvarError("the image's record is incomplete", where=where, why=f"{error} is missing") from error
        return cls(system_from_data(system), lock_from_data(lock, where), settings_from_data(options, where))


def json_object(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object out of its bytes. Raises InvarError, with `where`."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvarError("this is no JSON", where=where, why=str(error)) from error
    if not isinstance(found, dict):
        raise InvarError("this is no JSON object", where=where)
    return found


def attach(directory: Path, documents: Mapping[str, bytes]) -> bool:
    """Put documents beside an image, each by one rename. False if all of them lie there already, equal.

    Raises InvarError when the directory is not writable.
    """
    written = False
    for name, content in documents.items():
        place = directory / name
        if place.is_file() and place.read_bytes() == content:
            continue
        temporary = directory / f".{name}.{os.getpid()}"
        try:
            temporary.write_bytes(content)
            temporary.replace(place)
            written = True
        except OSError as error:
            raise InvarError(f"cannot write {place}", why=error.strerror) from error
        finally:
            temporary.unlink(missing_ok=True)
    return written


def read_documents(directory: Path) -> dict[str, bytes]:
    """image-info.json and the other documents that lie beside an image."""
    places = [directory / name for name in (INFO_FILE, *DOCUMENTS)]
    return {place.name: place.read_bytes() for place in places if place.is_file()}


def copy_documents(source: Path, target: Path) -> None:
    """The documents beside an image (but image-info.json, which names the file) into another directory."""
    for name in DOCUMENTS:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
