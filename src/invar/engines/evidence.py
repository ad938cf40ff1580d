"""The documents beside an image, put together from what a build knows: record, bills of materials, provenance."""

from __future__ import annotations

import hashlib
from pathlib import Path

from invar import __version__
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.debian.mirrors import Mirrors
from invar.engines.project import Project
from invar.engines.repository import Revision
from invar.image.assemble import Image
from invar.image.bom.components import components_of
from invar.image.bom.cyclonedx import cyclonedx_document
from invar.image.bom.spdx import spdx_document
from invar.image.bom.subject import ImageSubject
from invar.image.documents import CYCLONEDX_FILE, PROVENANCE_FILE, RECORD_FILE, SPDX_FILE, BuildRecord
from invar.image.provenance import Inputs, Origin, statement
from invar.image.tools import Tools
from invar.store.objects import Store


def make_documents(
    image: Image,
    record: BuildRecord,
    inputs: Inputs,
    tools: Tools,
    store: Store,
    mirrors: Mirrors,
    report: Report,
) -> dict[str, bytes]:
    """Every document but image-info.json, by file name. Raises InvarError when a package can't be had."""
    lock = record.lock
    components = components_of(lock, tools, store, mirrors, report)
    subject = ImageSubject.of(image, lock_digest=lock.digest, date=lock.date, version=__version__)
    documents = {
        RECORD_FILE: record.encode(),
        SPDX_FILE: spdx_document(subject, components),
        CYCLONEDX_FILE: cyclonedx_document(subject, components),
    }
    documents[PROVENANCE_FILE] = statement(image, inputs, lock, documents, tools=tools.root.name, version=__version__)
    return documents


def inputs_of(project: Project, files: list[Path], revision: Revision) -> Inputs:
    """The configuration's files with their digests. Raises InvarError when one is gone by now."""
    try:
        digests = {
            path.relative_to(project.directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }
    except OSError as error:
        raise InvarError(
            "a file of the configuration changed during the build",
            where=str(error.filename),
            why=error.strerror,
            hint="build again",
        ) from error
    origin = Origin(revision.commit, revision.dirty, revision.remote)
    return Inputs(project.configuration.name, digests, origin)
