"""An image becomes an AMI in every region: uploaded once, as a delta where that is possible, then copied.

Every step finds what an earlier run did, so a killed or half-failed publish is finished by running it again.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from invar.aws.blocks import BlockMap, decode, encode, find, keep
from invar.aws.client import Cloud
from invar.aws.errors import code_of
from invar.aws.images import (
    Architecture,
    BootMode,
    ImageRecord,
    Registration,
    RootVolume,
    copy_image,
    deprecate_image,
    deregister_image,
    find_images,
    register_image,
    share_image,
    tag_image,
    wait_available,
)
from invar.aws.parameters import put_parameter
from invar.aws.snapshot_start import TAG_BLOCKS, Parent, Upload
from invar.aws.snapshot_upload import Uploaded, upload
from invar.aws.snapshots import SnapshotRecord, describe_snapshot
from invar.aws.transfer import Limits
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.record import BLOCK_MAP, Safekeeping, drop_records, fetch_record, keep_record, remember
from invar.fleet.regions import everywhere
from invar.fleet.tags import CONFIGURATION, RECORD, SYSTEM, Identity, generation_of, image_tags
from invar.store.objects import Store

COPY_SECONDS = 3600.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
DATE_PRECISION = timedelta(minutes=2)
"""AWS keeps deprecation dates to the minute."""
PROVENANCE, SIGNED = "provenance.json", "provenance.dsse.json"
"""Documents: where an image comes from, and the same in a signed envelope."""
LIVING = ("pending", "available", "disabled")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built image: the raw file, its block map and what it is.

    `documents` (file name → content) are kept beside the image: image-info.json, and what else tells of it.
    """

    path: Path
    blocks: BlockMap
    identity: Identity
    architecture: Architecture
    documents: Mapping[str, bytes] = field(default_factory=dict)
    boot_mode: BootMode = "uefi"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to, and how.

    `regions`: the first takes the upload, the others get copies. `kms_keys` maps a region to the key's ARN to encrypt
    with there; `encrypted` without a key takes the account's default key. `volume_gib` None: as large as the image.
    `deprecate_after` counts from the image's making, so that publishing again changes no date.
    """

    regions: Sequence[str]
    accounts: Sequence[str] = ()
    organizations: Sequence[str] = ()
    encrypted: bool = False
    kms_keys: Mapping[str, str] = field(default_factory=dict)
    volume_gib: int | None = None
    iops: int | None = None
    throughput: int | None = None
    deprecate_after: timedelta | None = None
    limits: Limits = field(default_factory=Limits)
    copy_seconds: float = COPY_SECONDS


@dataclass(frozen=True, slots=True)
class Published:
    """What is where now. `images` maps a region to its available image, `failed` the others to what went wrong there.

    `uploaded` is None where the image was there already.
    """

    configuration: str
    generation: int
    system_digest: str
    images: dict[str, ImageRecord]
    failed: dict[str, InvarError]
    uploaded: Uploaded | None


def publish(
    cloud: Cloud, artifact: Artifact, destination: Destination, store: Store, report: Report, *, version: str
) -> Published:
    """Make sure that every region has the image, available, shared, and named by its SSM parameter.

    What fails in one region leaves the others usable and is told in the result. `store` holds the block maps of earlier
    images, for deltas; `version` is Invar's. Raises InvarError when there is no image that copies could be made of.
    """
    regions = list(dict.fromkeys(destination.regions))
    if not regions:
        raise InvarError("no region to publish to", hint="name one, or set AWS_REGION")
    keep(store, artifact.blocks)
    packed = remember(store, {**artifact.documents, BLOCK_MAP: encode(artifact.blocks)})
    run = _Run(cloud, artifact, destination, store, report, version, packed)
    tags = {CONFIGURATION: artifact.identity.configuration}
    known = everywhere(regions, lambda region: find_images(cloud, region, tags=tags))
    if not known.done:
        raise known.failed[regions[0]]
    source, uploaded = run.source(known.done)
    reachable = [region for region in regions if region in known.done]
    record = run.record_of(source)
    outcomes = everywhere(reachable, lambda region: run.deliver(region, source, known.done[region], record))
    return Published(
        configuration=artifact.identity.configuration,
        generation=generation_of(source.tags),
        system_digest=artifact.identity.system_digest,
        images=outcomes.done,
        failed=known.failed | outcomes.failed,
        uploaded=uploaded,
    )


def next_generation(lines: Sequence[Sequence[ImageRecord]], system_digest: str) -> int:
    """The generation of a system, given its configuration's images by region: its own if it has one, else a new one."""
    images = [image for line in lines for image in line if image.state in LIVING]
    own = [generation_of(image.tags) for image in images if image.tags.get(SYSTEM) == system_digest]
    return max(own, default=0) or 1 + max((generation_of(image.tags) for image in images), default=0)


def image_name(identity: Identity) -> str:
    """The AMI's name: the same for the same system of the same configuration."""
    readable = re.sub(r"[^A-Za-z0-9()./_-]", "-", identity.configuration)[:80]
    return f"invar-{readable}-{identity.system_digest[:24]}"


def parameter_name(configuration: str) -> str:
    """The SSM parameter that names the newest image of a configuration, for people; rollouts use image ids."""
    return f"/invar/{re.sub(r'[^A-Za-z0-9._-]', '-', configuration)}/ami"


def parent_candidates(images: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Images to whose snapshot a delta can be made, newest generation first: one snapshot, of recorded content."""
    fit = [
        image for image in images if image.state in LIVING and len(image.snapshots) == 1 and TAG_BLOCKS in image.tags
    ]
    return sorted(fit, key=lambda image: (generation_of(image.tags), image.created), reverse=True)


def known_blocks(cloud: Cloud, image: ImageRecord, store: Store, report: Report) -> BlockMap | None:
    """The block map of a published image, from the store or out of its record; None where both are gone."""
    wanted = image.tags.get(TAG_BLOCKS, "")
    known = find(store, wanted) if wanted else None
    if known is not None or RECORD not in image.tags:
        return known
    try:
        documents = fetch_record(cloud, image.region, image.tags[RECORD], store, report)
    except InvarError as error:
        report.warn(f"{image.region}: the record of {image.id} cannot be used: {error.what}")
        return None
    data = (documents or {}).get(BLOCK_MAP)
    if data is None or hashlib.sha256(data).hexdigest() != wanted:
        return None
    blocks = decode(data, f"the record of {image.id}")
    keep(store, blocks)
    return blocks


def find_parent(
    cloud: Cloud, region: str, images: Sequence[ImageRecord], to: Destination, store: Store, report: Report
) -> Parent | None:
    """The newest snapshot in a region whose content is known and whose encryption is the wanted one.

    `images` are the region's of the configuration. Raises InvarError.
    """
    key = to.kms_keys.get(region)
    wanted = to.encrypted or key is not None
    for image in parent_candidates(images):
        snapshot = describe_snapshot(cloud, region, image.snapshots[0])
        if snapshot is None or snapshot.state != "completed":
            continue
        if (wanted and not snapshot.encrypted) or key not in (None, snapshot.kms_key):
            continue
        blocks = known_blocks(cloud, image, store, report)
        if blocks is not None:
            return Parent(snapshot.id, blocks)
    return None


def _age(image: ImageRecord) -> tuple[int, float]:
    return generation_of(image.tags), image.created


@dataclass(frozen=True, slots=True)
class _Run:
    """One publish: what all its steps share."""

    cloud: Cloud
    artifact: Artifact
    destination: Destination
    store: Store
    report: Report
    version: str
    record: str

    def source(self, known: Mapping[str, list[ImageRecord]]) -> tuple[ImageRecord, Uploaded | None]:
        """What copies are made of: an available image of the system in any region, else a new one in the first."""
        system = self.artifact.identity.system_digest
        for images in known.values():
            for image in images:
                if image.tags.get(SYSTEM) == system and image.state == "available":
                    return image, None
        home, images = next(iter(known.items()))
        before = max((image for image in images if image.state in LIVING), key=_age, default=None)
        tags = image_tags(
            self.artifact.identity,
            generation=next_generation(list(known.values()), system),
            parent=None if before is None else before.tags.get(SYSTEM),
            blocks=self.artifact.blocks.digest,
            record=self.record,
            version=self.version,
        )
        made = upload(self.cloud, self._upload(home, images), self.report)
        keep_record(self.cloud, home, self.record, tags, self.store, self._safekeeping(), self.report)
        return self._register(home, made, tags), made

    def record_of(self, source: ImageRecord) -> str | None:
        """The record that the image is to have: its own, or this build's where that is gone or was not signed yet."""
        own = source.tags.get(RECORD)
        if own is None or own == self.record:
            return own
        documents = fetch_record(self.cloud, source.region, own, self.store, self.report)
        same = source.tags.get(TAG_BLOCKS) == self.artifact.blocks.digest
        if same and (documents is None or SIGNED in self.artifact.documents.keys() - documents.keys()):
            self.report.note(f"the image gets a new record: its own is {'gone' if documents is None else 'not signed'}")
            return self.record
        return None if documents is None else own

    def deliver(
        self, region: str, source: ImageRecord, known: Sequence[ImageRecord], record: str | None
    ) -> ImageRecord:
        """The image in one region: there already, or copied; then shared, dated and named. Raises InvarError."""
        to = self.destination
        with self.report.stage(f"publish {region}") as stage:
            identity = source.id
            if region != source.region:
                found = self._found(region, source, known)
                stage.cached = found is not None and found.state == "available"
                identity = self._copy(region, source) if found is None else found.id
            others = self._keep_record(region, record, source) if record is not None else []
            image = source
            if region != source.region:
                image = wait_available(self.cloud, region, identity, seconds=to.copy_seconds)
            share_image(self.cloud, region, image.id, accounts=to.accounts, organizations=to.organizations)
            if record is not None and image.tags.get(RECORD) != record:
                tag_image(self.cloud, region, image.id, {RECORD: record})
            drop_records(self.cloud, region, others, self.report)
            if to.deprecate_after is not None:
                self._deprecate(image, to.deprecate_after)
            configuration = source.tags[CONFIGURATION]
            tags = {CONFIGURATION: configuration}
            put_parameter(self.cloud, region, parameter_name(configuration), image.id, tags=tags)
            return image

    def _deprecate(self, image: ImageRecord, after: timedelta) -> None:
        at = datetime.fromtimestamp(image.created, UTC) + after
        dated = image.deprecation and datetime.fromisoformat(image.deprecation.replace("Z", "+00:00"))
        if not dated or abs(dated - at) > DATE_PRECISION:
            deprecate_image(self.cloud, image.region, image.id, at)

    def _keep_record(self, region: str, record: str, image: ImageRecord) -> list[SnapshotRecord]:
        how = self._safekeeping()
        return keep_record(self.cloud, region, record, image.tags, self.store, how, self.report)

    def _safekeeping(self) -> Safekeeping:
        to = self.destination
        return Safekeeping(to.encrypted, to.kms_keys, to.limits)

    def _upload(self, home: str, images: Sequence[ImageRecord]) -> Upload:
        identity = self.artifact.identity
        name = image_name(identity)
        return Upload(
            image=self.artifact.path,
            blocks=self.artifact.blocks,
            region=home,
            description=name,
            journals=self.store.root.parent / "uploads",
            tags={CONFIGURATION: identity.configuration, SYSTEM: identity.system_digest, "Name": name},
            parent=find_parent(self.cloud, home, images, self.destination, self.store, self.report),
            encrypted=self.destination.encrypted,
            kms_key=self.destination.kms_keys.get(home),
            limits=self.destination.limits,
        )

    def _register(self, home: str, made: Uploaded, tags: Mapping[str, str]) -> ImageRecord:
        to = self.destination
        name = image_name(self.artifact.identity)
        with self.report.stage(f"register {home}"):
            root = RootVolume(made.snapshot, max(made.volume_gib, to.volume_gib or 0), to.iops, to.throughput)
            request = Registration(name, name, self.artifact.architecture, root, tags, self.artifact.boot_mode)
            identity = register_image(self.cloud, home, request)
            return wait_available(self.cloud, home, identity, seconds=to.copy_seconds)

    def _found(self, region: str, source: ImageRecord, known: Sequence[ImageRecord]) -> ImageRecord | None:
        """The system's image that the region has already or is getting. Removes failed ones."""
        own = [image for image in known if image.tags.get(SYSTEM) == source.tags[SYSTEM]]
        for image in own:
            if image.state in ("failed", "error", "invalid"):
                self.report.note(f"{region}: removing {image.id}, which is {image.state}")
                deregister_image(self.cloud, region, image.id)
        return next((image for image in own if image.state in ("available", "pending")), None)

    def _copy(self, region: str, source: ImageRecord) -> str:
        """Begin the copy, waiting while the region's quota of copies under way is used up."""
        key = self.destination.kms_keys.get(region)
        encrypted = self.destination.encrypted or key is not None
        tags = {name: source.tags[name] for name in (CONFIGURATION, SYSTEM, TAG_BLOCKS) if name in source.tags}
        deadline = time.monotonic() + self.destination.copy_seconds
        pause = FIRST_PAUSE
        while True:
            try:
                return copy_image(self.cloud, source, region, snapshot_tags=tags, kms_key=key, encrypted=encrypted)
            except InvarError as error:
                cause = error.__cause__
                full = cause is not None and code_of(cause) == "ResourceLimitExceeded"
                if not full or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE, pause * 1.5)
