"""The record of an image: its block map, image-info.json and further documents, in a small snapshot of its own.

The snapshot lies beside the image's in every region, so that any clone of the repository can upload a difference, or
verify an image, without the machine that published it. Its first bytes are a line that names the format, the length of
what follows (64 bits, big-endian), and a deflated tar archive (RFC 1950, POSIX ustar). The image's tag `invar:record`
holds the SHA-256 of all of that.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from invar.aws.blocks import BLOCK, map_blocks
from invar.aws.client import Cloud
from invar.aws.snapshot_read import fetch, list_blocks
from invar.aws.snapshot_start import TAG_BLOCKS, Upload
from invar.aws.snapshot_upload import upload
from invar.aws.snapshots import SnapshotRecord, delete_snapshot, find_snapshots
from invar.aws.transfer import Limits
from invar.core.errors import InvarError
from invar.core.events import Event, Report, Warned
from invar.fleet.tags import CONFIGURATION, RECORD, SYSTEM
from invar.store.objects import Store

BLOCK_MAP = "blocks.map"
KIND = "image-records"
LARGEST = 256 << 20
"""Bytes that a record may unpack to."""
_MAGIC = b"invar image record 1\n"
_LENGTH = struct.Struct(">Q")
_HEAD = len(_MAGIC) + _LENGTH.size


@dataclass(frozen=True, slots=True)
class Safekeeping:
    """How records are kept in the cloud: as their images are."""

    encrypted: bool = False
    kms_keys: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


def pack(documents: Mapping[str, bytes]) -> bytes:
    """Documents (file name → content) as a record: the same bytes for the same documents."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(documents.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(content))
    packed = zlib.compress(archive.getvalue(), 9)
    return _MAGIC + _LENGTH.pack(len(packed)) + packed


def cut(data: bytes, digest: str, where: str) -> bytes:
    """The record with this SHA-256 at the start of `data`. Raises InvarError when it is not there."""
    if not data.startswith(_MAGIC) or len(data) < _HEAD:
        raise InvarError("this is no record of an image", where=where)
    (length,) = _LENGTH.unpack_from(data, len(_MAGIC))
    record = data[: _HEAD + length]
    if hashlib.sha256(record).hexdigest() != digest:
        raise InvarError(
            "the image's record was altered",
            where=where,
            why=f"its SHA-256 is not the image's tag {RECORD}",
            hint="verify --rebuild compares with a fresh build instead",
        )
    return record


def unpack(record: bytes, where: str) -> dict[str, bytes]:
    """The documents of a record. Raises InvarError when it cannot be read."""
    try:
        archive = zlib.decompressobj().decompress(record[_HEAD:], LARGEST)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            return {member.name: _content(tar, member) for member in tar if member.isfile()}
    except (zlib.error, tarfile.TarError) as error:
        raise InvarError("the image's record cannot be read", where=where, why=str(error)) from error


def remember(store: Store, documents: Mapping[str, bytes]) -> str:
    """Keep a record in the store. Returns its digest."""
    record = pack(documents)
    digest = hashlib.sha256(record).hexdigest()
    _keep(store, digest, record)
    return digest


def keep_record(
    cloud: Cloud, region: str, digest: str, tags: Mapping[str, str], store: Store, how: Safekeeping, report: Report
) -> list[SnapshotRecord]:
    """Make sure that a region has the record, which the store holds. `tags` are the image's.

    Returns the image's other records, for `drop_records` once its tag names this one. Raises InvarError.
    """
    own = {name: tags[name] for name in (CONFIGURATION, SYSTEM)}
    present = find_record_snapshots(cloud, region, own)
    others = [one for one in present if one.tags[RECORD] != digest]
    if any(one.state == "completed" for one in present if one not in others):
        return others
    path = store.path(KIND, digest)
    request = Upload(
        image=path,
        blocks=map_blocks(path, Report()),
        region=region,
        description=f"invar: documents of {tags[CONFIGURATION]} {tags[SYSTEM][:24]}",
        journals=store.root.parent / "uploads",
        tags={**own, RECORD: digest, "Name": f"invar-record-{tags[SYSTEM][:24]}"},
        encrypted=how.encrypted,
        kms_key=how.kms_keys.get(region),
        limits=how.limits,
    )
    upload(cloud, request, _only_warnings(report))
    return others


def drop_records(cloud: Cloud, region: str, records: Sequence[SnapshotRecord], report: Report) -> None:
    """Delete records that no image has any more. Raises InvarError."""
    for one in records:
        report.note(f"{region}: deleting {one.id}, a record that no image has")
        delete_snapshot(cloud, region, one.id)


def fetch_record(
    cloud: Cloud, region: str, digest: str, store: Store, report: Report, limits: Limits | None = None
) -> dict[str, bytes] | None:
    """The record's documents, from the store or else from the region; None where neither has it. Raises InvarError."""
    known = store.find(KIND, digest)
    if known is not None:
        return unpack(cut(known.read_bytes(), digest, str(known)), str(known))
    found = [one for one in find_snapshots(cloud, region, {RECORD: digest}) if one.state == "completed"]
    if not found:
        return None
    limits = limits or Limits()
    held = list_blocks(cloud, region, found[0].id, limits)
    blocks: dict[int, bytes] = {}
    lock = threading.Lock()

    def use(index: int, data: bytes) -> None:
        with lock:
            blocks[index] = data

    indices = sorted(held.tokens)
    if len(indices) * BLOCK > LARGEST:
        raise InvarError("the image's record is too large", where=f"{region} {found[0].id}")
    fetch(cloud, region, found[0].id, held, indices, use, limits)
    size = (max(indices, default=-1) + 1) * BLOCK
    data = b"".join(blocks.get(index, bytes(BLOCK)) for index in range(size // BLOCK))
    where = f"{region} {found[0].id}"
    record = cut(data, digest, where)
    _keep(store, digest, record)
    return unpack(record, where)


def find_record_snapshots(cloud: Cloud, region: str, tags: Mapping[str, str]) -> list[SnapshotRecord]:
    """The snapshots that hold records of images with these tags. Raises InvarError."""
    return [one for one in find_snapshots(cloud, region, tags) if RECORD in one.tags and TAG_BLOCKS in one.tags]


def _keep(store: Store, digest: str, record: bytes) -> None:
    with store.creating(KIND, digest) as target:
        if target is not None:
            target.write_bytes(record)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _only_warnings(report: Report) -> Report:
    """A record's upload is too short to be told of, unless something is wrong with it."""

    def listen(event: Event) -> None:
        if isinstance(event, Warned):
            report.warn(event.text)

    return Report(listen)
