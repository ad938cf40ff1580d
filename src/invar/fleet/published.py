"""Published images as subjects: what their record says, found by id or as the newest of a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invar.aws.client import Cloud
from invar.aws.images import ImageRecord, describe_image
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.fleet.inventory import is_ours
from invar.fleet.publish import LIVING, known_blocks
from invar.fleet.record import fetch_record
from invar.fleet.regions import everywhere
from invar.fleet.subjects import Subject, subject_of
from invar.fleet.tags import RECORD, SYSTEM, generation_of
from invar.image.documents import json_object
from invar.image.info import INFO_FILE
from invar.store.objects import Store


def published_subject(cloud: Cloud, regions: Sequence[str], identity: str, store: Store, report: Report) -> Subject:
    """The image with this id, in whichever of the regions has it. Raises InvarError."""
    found = everywhere(regions, lambda region: describe_image(cloud, region, identity))
    image = next((one for one in found.done.values() if one is not None), None)
    if image is None:
        if found.failed:
            raise next(iter(found.failed.values()))
        raise InvarError(
            f"there is no image {identity}",
            where=", ".join(regions),
            hint="name the region that it is in: --region",
            exit_code=ExitCode.USAGE,
        )
    return subject_of_image(cloud, image, identity, store, report)


def subject_of_image(cloud: Cloud, image: ImageRecord, label: str, store: Store, report: Report) -> Subject:
    """The subject that a published image is, by its record. Raises InvarError."""
    where = f"{image.region} {image.id}"
    if RECORD not in image.tags:
        raise InvarError(
            f"of {image.id} it is not known what it was built of",
            where=where,
            why=f"it has no tag {RECORD}",
            hint="only images of this account that Invar published can be compared",
        )
    documents = fetch_record(cloud, image.region, image.tags[RECORD], store, report)
    if documents is None:
        raise InvarError(
            f"the record of {image.id} is gone",
            where=where,
            why=f"no snapshot there has the tag {RECORD}={image.tags[RECORD]}",
            hint="publishing the configuration again from a machine whose store has it brings it back",
        )
    info = json_object(documents.get(INFO_FILE, b"{}"), where)
    if info.get("system_digest", image.tags.get(SYSTEM)) != image.tags.get(SYSTEM):
        raise InvarError(
            f"the record of {image.id} is another image's",
            where=where,
            why=f"it tells of system {info['system_digest']}, the image's tag of {image.tags.get(SYSTEM)}",
        )
    return subject_of(label, documents, where, blocks=known_blocks(cloud, image, store, report))


def newest(known: Mapping[str, Sequence[ImageRecord]]) -> ImageRecord | None:
    """The image of the newest generation over all regions; of several the one in the region that was named first."""
    images = [image for line in known.values() for image in line if image.state in LIVING and is_ours(image, ())]
    return max(images, key=lambda image: generation_of(image.tags), default=None)
