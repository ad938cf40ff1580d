"""The EBS direct API's behaviour: six operations over the snapshot store, with AWS's checks and refusals.

Follows the EBS direct API reference (2019-11-02) and user guide: blocks of 512 KiB, SHA-256 with linear aggregation,
block tokens good for seven days, page tokens for an hour, at least 100 results a page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from invar.localcloud.block_file import BLOCK
from invar.localcloud.clock import Clock
from invar.localcloud.database import Database
from invar.localcloud.errors import CloudError
from invar.localcloud.settings import Settings
from invar.localcloud.snapshots import Snapshot, SnapshotStore, block_count, new_id
from invar.localcloud.tokens import TokenError, TokenMint

DEFAULT_TIMEOUT = 60
LARGEST_VOLUME = 65536
LARGEST_TOKEN = 64
MOST_TAGS = 50
FEWEST_RESULTS = 100
DEFAULT_RESULTS = 1000

Parameters = Mapping[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is, in which region. `encrypted_by_default` is that region's EBS setting."""

    account: str
    region: str
    encrypted_by_default: bool = False


class EbsDirect:
    """The six operations. Parameters and results have botocore's names and types."""

    def __init__(self, store: SnapshotStore, database: Database, mint: TokenMint, clock: Clock) -> None:
        self._store = store
        self._database = database
        self._mint = mint
        self._clock = clock
        self._hidden: dict[str, int] = {}
        self._lock = threading.Lock()
        self.settings = Settings()

    def start_snapshot(self, caller: Caller, parameters: Parameters) -> Result:
        """StartSnapshot."""
        request = {name: value for name, value in parameters.items() if name != "ClientToken"}
        token = parameters.get("ClientToken")
        if token is not None and len(token) > LARGEST_TOKEN:
            _refuse("INVALID_PARAMETER_VALUE", f"A client token has at most {LARGEST_TOKEN} characters.")
        with self._database.transaction() as rows:
            if token is not None:
                key = (caller.region, "StartSnapshot", token)
                row = rows.execute(
                    "SELECT request, made FROM requests WHERE region = ? AND operation = ? AND token = ?", key
                ).fetchone()
                if row is not None:
                    return self._started_before(caller, row[0], row[1], request)
            snapshot = self._begin(caller, request)
            self._store.add(snapshot, snapshot.parent)
            if token is not None:
                rows.execute(
                    "INSERT INTO requests VALUES (?, ?, ?, ?, ?)",
                    (caller.region, "StartSnapshot", token, _canonical(request), snapshot.id),
                )
        if self.settings.hidden_calls:
            with self._lock:
                self._hidden[snapshot.id] = self.settings.hidden_calls
        return self._started(snapshot)

    def put_snapshot_block(self, caller: Caller, parameters: Parameters) -> Result:
        """PutSnapshotBlock."""
        snapshot = self._find(caller, parameters["SnapshotId"])
        self._require_open(snapshot)
        position = int(parameters["BlockIndex"])
        data: bytes = parameters["BlockData"]
        if position >= block_count(snapshot):
            _refuse("INVALID_BLOCK", f"The block index {position} is beyond the end of the volume.")
        if int(parameters["DataLength"]) != BLOCK:
            _refuse("INVALID_PARAMETER_VALUE", f"The data length must be {BLOCK} bytes.")
        if len(data) != BLOCK:
            _refuse("INVALID_PARAMETER_VALUE", "Failed to read block data")
        digest = hashlib.sha256(data).digest()
        checksum = base64.b64encode(digest).decode()
        if parameters["Checksum"] != checksum:
            _refuse("INVALID_PARAMETER_VALUE", "The checksum does not match the block data.")
        self._store.put(snapshot.id, position, data, digest, self._clock.now(), parameters.get("Progress"))
        return {"Checksum": checksum, "ChecksumAlgorithm": "SHA256"}

    def complete_snapshot(self, caller: Caller, parameters: Parameters) -> Result:
        """CompleteSnapshot."""
        given = [parameters.get(name) for name in ("Checksum", "ChecksumAlgorithm", "ChecksumAggregationMethod")]
        if any(given) and not all(given):
            _refuse("INVALID_PARAMETER_VALUE", "A checksum needs its algorithm and its aggregation method.")
        with self._database.transaction():
            snapshot = self._find(caller, parameters["SnapshotId"])
            self._require_open(snapshot)
            count, whole = self._store.written(snapshot.id)
            if int(parameters["ChangedBlocksCount"]) != count:
                _refuse("INVALID_PARAMETER_VALUE", "The changed blocks count does not match the blocks written.")
            if given[0] is not None and given[0] != base64.b64encode(whole).decode():
                _refuse("INVALID_PARAMETER_VALUE", "The checksum does not match the blocks written.")
            now = self._clock.now()
            snapshot = replace(snapshot, sealed=now + self.settings.complete_seconds)
            self._store.change(snapshot)
        return {"Status": snapshot.state(now)}

    def list_snapshot_blocks(self, caller: Caller, parameters: Parameters) -> Result:
        """ListSnapshotBlocks."""
        snapshot = self._readable(caller, parameters["SnapshotId"])
        start, limit = self._page(parameters, "blocks", snapshot.id)
        found = self._store.positions(snapshot.id, start, limit + 1)
        expires = self._clock.now() + self.settings.block_token_seconds
        result = self._listing(snapshot, expires)
        result["Blocks"] = [
            {"BlockIndex": position, "BlockToken": self._mint.make("block", snapshot.id, position, expires)}
            for position in found[:limit]
        ]
        if len(found) > limit:
            result["NextToken"] = self._next_page("blocks", snapshot.id, found[limit])
        return result

    def list_changed_blocks(self, caller: Caller, parameters: Parameters) -> Result:
        """ListChangedBlocks."""
        if parameters.get("FirstSnapshotId") is None:
            _refuse("INVALID_SNAPSHOT_ID", "FirstSnapshotId must be specified with SecondSnapshotId.")
        first = self._readable(caller, parameters["FirstSnapshotId"])
        second = self._readable(caller, parameters["SecondSnapshotId"])
        if first.lineage != second.lineage:
            _refuse("UNRELATED_SNAPSHOTS", "The snapshots are not of the same volume or snapshot lineage.")
        subject = f"{first.id} {second.id}"
        start, limit = self._page(parameters, "changed", subject)
        found = self._store.changed(first.id, second.id, start, limit + 1)
        expires = self._clock.now() + self.settings.block_token_seconds
        changes = []
        for change in found[:limit]:
            entry: Result = {"BlockIndex": change.position}
            if change.in_first:
                entry["FirstBlockToken"] = self._mint.make("block", first.id, change.position, expires)
            if change.in_second:
                entry["SecondBlockToken"] = self._mint.make("block", second.id, change.position, expires)
            changes.append(entry)
        result = self._listing(second, expires)
        result["ChangedBlocks"] = changes
        if len(found) > limit:
            result["NextToken"] = self._next_page("changed", subject, found[limit].position)
        return result

    def get_snapshot_block(self, caller: Caller, parameters: Parameters) -> Result:
        """GetSnapshotBlock."""
        snapshot = self._readable(caller, parameters["SnapshotId"])
        position = int(parameters["BlockIndex"])
        try:
            named = self._mint.read(parameters["BlockToken"], "block", snapshot.id, self._clock.now())
        except TokenError as error:
            _refuse("INVALID_BLOCK_TOKEN", f"The block token is {error.trouble}.")
        if named != position:
            _refuse("INVALID_BLOCK_TOKEN", "The block token is of another block.")
        block = self._store.read(snapshot.id, position)
        if block is None:
            _refuse("INVALID_BLOCK", f"The snapshot holds no block {position}.")
        data, digest = block
        return {
            "DataLength": len(data),
            "BlockData": data,
            "Checksum": base64.b64encode(digest).decode(),
            "ChecksumAlgorithm": "SHA256",
        }

    def forget(self) -> None:
        """Forget which snapshots are still hidden."""
        with self._lock:
            self._hidden.clear()

    def _begin(self, caller: Caller, request: Parameters) -> Snapshot:
        size = int(request["VolumeSize"])
        if size > LARGEST_VOLUME:
            _refuse("INVALID_VOLUME_SIZE", f"The volume size is at most {LARGEST_VOLUME} GiB.")
        tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
        if len(tags) != len(request.get("Tags", [])) or len(tags) > MOST_TAGS:
            _refuse("INVALID_TAG", f"Tags must have distinct keys and be at most {MOST_TAGS}.")
        if any(key.lower().startswith("aws:") for key in tags):
            _refuse("INVALID_TAG", "Tag keys starting with 'aws:' are reserved.")
        now = self._clock.now()
        pending = sum(
            one.state(now) == "pending" and one.sealed is None for one in self._store.of_region(caller.region)
        )
        if pending >= self.settings.pending_snapshots:
            raise CloudError("ConcurrentLimitExceededException", "Too many pending snapshots in this region.")
        identity = new_id("snap")
        parent = self._parent(caller, request, size)
        encrypted, key = _encryption(caller, request, parent)
        return Snapshot(
            id=identity,
            region=caller.region,
            owner=caller.account,
            volume_size=size,
            description=request.get("Description", ""),
            tags=tags,
            started=now,
            timeout=int(request.get("Timeout", DEFAULT_TIMEOUT)),
            parent=None if parent is None else parent.id,
            lineage=identity if parent is None else parent.lineage,
            encrypted=encrypted,
            kms_key=key,
            last_write=now,
        )

    def _parent(self, caller: Caller, request: Parameters, size: int) -> Snapshot | None:
        identity = request.get("ParentSnapshotId")
        if identity is None:
            return None
        if "Encrypted" in request:
            _refuse("INVALID_PARAMETER_VALUE", "ParentSnapshotId and Encrypted cannot be specified together.")
        parent = self._readable(caller, identity)
        if size < parent.volume_size:
            _refuse("INVALID_VOLUME_SIZE", "The volume size is smaller than the parent snapshot's.")
        return parent

    def _started_before(self, caller: Caller, request: str, made: str, again: Parameters) -> Result:
        if request != _canonical(again):
            raise CloudError(
                "ConflictException", "The client token was used before in a different request.", status=409
            )
        return self._started(self._find(caller, made))

    def _started(self, snapshot: Snapshot) -> Result:
        result: Result = {
            "SnapshotId": snapshot.id,
            "OwnerId": snapshot.owner,
            "Status": snapshot.state(self._clock.now()),
            "StartTime": snapshot.started,
            "VolumeSize": snapshot.volume_size,
            "BlockSize": BLOCK,
            "Tags": [{"Key": key, "Value": value} for key, value in snapshot.tags.items()],
        }
        optional = {
            "Description": snapshot.description or None,
            "ParentSnapshotId": snapshot.parent,
            "KmsKeyArn": snapshot.kms_key,
        }
        return result | {name: value for name, value in optional.items() if value is not None}

    def _find(self, caller: Caller, identity: str) -> Snapshot:
        snapshot = self._store.find(caller.region, identity)
        if snapshot is None or self._is_hidden(identity):
            raise CloudError(
                "ResourceNotFoundException",
                f"The snapshot '{identity}' does not exist.",
                status=404,
                reason="SNAPSHOT_NOT_FOUND",
            )
        return snapshot

    def _is_hidden(self, identity: str) -> bool:
        with self._lock:
            left = self._hidden.get(identity, 0)
            if left > 1:
                self._hidden[identity] = left - 1
            else:
                self._hidden.pop(identity, None)
        return left > 0

    def _require_open(self, snapshot: Snapshot) -> None:
        if snapshot.sealed is not None or snapshot.state(self._clock.now()) != "pending":
            _refuse("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot.id}' is not in the pending state.")

    def _readable(self, caller: Caller, identity: str) -> Snapshot:
        snapshot = self._find(caller, identity)
        if snapshot.state(self._clock.now()) != "completed":
            _refuse("INVALID_SNAPSHOT_ID", f"The snapshot '{identity}' is not in the completed state.")
        return snapshot

    def _page(self, parameters: Parameters, purpose: str, subject: str) -> tuple[int, int]:
        limit = max(FEWEST_RESULTS, int(parameters.get("MaxResults", DEFAULT_RESULTS)))
        token = parameters.get("NextToken")
        if token is None:
            return int(parameters.get("StartingBlockIndex", 0)), limit
        try:
            return self._mint.read(token, purpose, subject, self._clock.now()), limit
        except TokenError as error:
            _refuse("INVALID_PAGE_TOKEN", f"The page token is {error.trouble}.")

    def _next_page(self, purpose: str, subject: str, position: int) -> str:
        return self._mint.make(purpose, subject, position, self._clock.now() + self.settings.page_token_seconds)

    @staticmethod
    def _listing(snapshot: Snapshot, expires: float) -> Result:
        return {"ExpiryTime": expires, "VolumeSize": snapshot.volume_size, "BlockSize": BLOCK}


def _encryption(caller: Caller, request: Parameters, parent: Snapshot | None) -> tuple[bool, str | None]:
    """Whether a new snapshot is encrypted, and with which key: the user guide's table of outcomes."""
    key = request.get("KmsKeyArn")
    if parent is not None:
        if key is not None:
            _refuse("INVALID_PARAMETER_VALUE", "KmsKeyArn cannot be specified with a parent snapshot.")
        if caller.encrypted_by_default and not parent.encrypted:
            _refuse("INVALID_SNAPSHOT_ID", "Encryption by default is on, and the parent snapshot is not encrypted.")
        return parent.encrypted, parent.kms_key
    asked = bool(request.get("Encrypted", False))
    if request.get("Encrypted") is False and caller.encrypted_by_default:
        _refuse("INVALID_PARAMETER_VALUE", "Encryption by default is on: snapshots cannot be unencrypted.")
    encrypted = asked or caller.encrypted_by_default
    if key is not None and not encrypted:
        _refuse("INVALID_CUSTOMER_KEY", "KmsKeyArn needs Encrypted.")
    if not encrypted:
        return False, None
    return True, key or f"arn:aws:kms:{caller.region}:{caller.account}:key/default-ebs-key"


def _canonical(request: Parameters) -> str:
    return json.dumps(request, sort_keys=True, default=str)


def _refuse(reason: str, message: str) -> NoReturn:
    raise CloudError("ValidationException", message, reason=reason)
