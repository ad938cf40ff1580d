"""EC2's side of snapshots: DescribeSnapshots, DeleteSnapshot, CopySnapshot and the tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from invar.localcloud.block_file import BLOCK
from invar.localcloud.clock import Clock
from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.filters import matches, page, tag_facts
from invar.localcloud.settings import Settings
from invar.localcloud.snapshots import Snapshot, SnapshotStore, new_id

NO_VOLUME = "vol-ffffffff"
"""What AWS shows as the volume of a snapshot that was not made from one."""
MOST_TAGS = 50
KNOWN_FILTERS = (
    "description", "encrypted", "owner-alias", "owner-id", "progress", "snapshot-id", "start-time", "status",
    "storage-tier", "volume-id", "volume-size",
)  # fmt: skip

Parameters = Mapping[str, Any]


class Ec2Snapshots:
    """The operations on snapshots of the EC2 API. Parameters and results have botocore's names and types."""

    def __init__(self, store: SnapshotStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.settings = Settings()

    def describe_snapshots(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeSnapshots."""
        found = self._store.of_region(caller.region)
        wanted = parameters.get("SnapshotIds") or []
        if wanted:
            if "MaxResults" in parameters:
                raise CloudError(
                    "InvalidParameterCombination",
                    "The parameter snapshotIds cannot be used with the parameter maxResults",
                )
            by_id = {one.id: one for one in found}
            found = [by_id.get(identity) or self.require(caller, identity) for identity in dict.fromkeys(wanted)]
        owners = {caller.account if one == "self" else one for one in parameters.get("OwnerIds") or []}
        now = self._clock.now()
        shown = [
            one
            for one in found
            if (not owners or one.owner in owners)
            and matches(_facts(one, now), parameters.get("Filters") or [], KNOWN_FILTERS)
        ]
        shown, token = page(shown, parameters, 5, 1000)
        result: dict[str, Any] = {"Snapshots": [self._shown(one, now) for one in shown]}
        return result | ({"NextToken": token} if token else {})

    def delete(self, caller: Caller, identity: str, used_by: str | None) -> None:
        """DeleteSnapshot, given the id of an image that is made of the snapshot."""
        snapshot = self.require(caller, identity)
        if used_by is not None:
            raise CloudError("InvalidSnapshot.InUse", f"The snapshot {identity} is currently in use by {used_by}")
        self._store.delete(snapshot.id)

    def copy_snapshot(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """CopySnapshot: into the caller's region."""
        source_region = parameters["SourceRegion"]
        source = self._store.find(source_region, parameters["SourceSnapshotId"])
        if source is None:
            raise _not_found(parameters["SourceSnapshotId"])
        now = self._clock.now()
        if source.state(now) != "completed":
            raise CloudError("IncorrectState", f"The snapshot '{source.id}' is not completed.")
        tags = specified_tags(parameters, "snapshot")
        made = self.copy(
            caller,
            source,
            description=parameters.get("Description", f"[Copied {source.id} from {source_region}]"),
            tags=tags,
            encrypted=bool(parameters.get("Encrypted", False)),
            kms_key=parameters.get("KmsKeyId"),
        )
        return {"SnapshotId": made.id, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def copy(
        self,
        caller: Caller,
        source: Snapshot,
        *,
        description: str,
        tags: dict[str, str],
        encrypted: bool,
        kms_key: str | None,
        fault: str | None = None,
    ) -> Snapshot:
        """Begin a copy into the caller's region, pending for `copy_seconds`. Raises CloudError beyond the quota."""
        now = self._clock.now()
        if kms_key is not None and not (encrypted or source.encrypted or caller.encrypted_by_default):
            raise CloudError("InvalidParameterCombination", "KmsKeyId needs Encrypted.")
        under_way = sum(one.copied and one.state(now) == "pending" for one in self._store.of_region(caller.region))
        if under_way >= self.settings.concurrent_copies:
            raise CloudError(
                "ResourceLimitExceeded",
                "You have exceeded an Amazon EC2 resource limit: too many snapshot copies in progress.",
            )
        encrypted = encrypted or source.encrypted or caller.encrypted_by_default
        default_key = f"arn:aws:kms:{caller.region}:{caller.account}:key/default-ebs-key"
        copied = replace(
            source,
            id=new_id("snap"),
            region=caller.region,
            owner=caller.account,
            description=description,
            tags=tags,
            started=now,
            parent=None,
            encrypted=encrypted,
            kms_key=(kms_key or default_key) if encrypted else None,
            sealed=now + self.settings.copy_seconds,
            fault=fault,
            copied=True,
            last_write=now,
            progress=None,
        )
        self._store.add(copied, source.id, written=True)
        return copied

    def require(self, caller: Caller, identity: str) -> Snapshot:
        """The snapshot, or the error for a malformed or unknown id."""
        if not re.fullmatch(r"snap-[0-9a-f]{8,17}", identity):
            raise CloudError("InvalidSnapshotID.Malformed", f'Invalid id: "{identity}" (expecting "snap-...")')
        snapshot = self._store.find(caller.region, identity)
        if snapshot is None:
            raise _not_found(identity)
        return snapshot

    def change_tags(self, caller: Caller, identity: str, changed: dict[str, str | None]) -> None:
        """Set tags, or with None delete them."""
        snapshot = self.require(caller, identity)
        self._store.change(replace(snapshot, tags=merged_tags(snapshot.tags, changed)))

    def tagged(self, caller: Caller) -> list[tuple[str, dict[str, str]]]:
        """Every snapshot's id and tags."""
        return [(one.id, one.tags) for one in self._store.of_region(caller.region)]

    def _shown(self, snapshot: Snapshot, now: float) -> dict[str, Any]:
        state = snapshot.state(now)
        shown: dict[str, Any] = {
            "SnapshotId": snapshot.id,
            "OwnerId": snapshot.owner,
            "VolumeId": NO_VOLUME,
            "VolumeSize": snapshot.volume_size,
            "Description": snapshot.description,
            "StartTime": _time(snapshot.started),
            "State": state,
            "Progress": _progress(snapshot, now),
            "Encrypted": snapshot.encrypted,
            "StorageTier": "standard",
            "Tags": [{"Key": key, "Value": value} for key, value in snapshot.tags.items()],
        }
        if snapshot.kms_key:
            shown["KmsKeyId"] = snapshot.kms_key
        if state == "error":
            shown["StateMessage"] = snapshot.fault or "The snapshot was not completed in time."
        if state == "completed" and snapshot.sealed is not None:
            shown["CompletionTime"] = _time(snapshot.sealed)
            shown["FullSnapshotSizeInBytes"] = self._store.sizes(snapshot.id)[0] * BLOCK
        return shown


def specified_tags(parameters: Parameters, resource: str) -> dict[str, str]:
    """The tags that TagSpecifications give to one type of resource. Raises CloudError for a bad specification."""
    tags: dict[str, str] = {}
    for specification in parameters.get("TagSpecifications") or []:
        if specification.get("ResourceType") == resource:
            for tag in specification.get("Tags", []):
                if tag["Key"] in tags:
                    raise CloudError("InvalidParameterValue", f"Duplicate tag key '{tag['Key']}' specified.")
                tags[tag["Key"]] = tag.get("Value", "")
    return merged_tags({}, dict(tags))


def merged_tags(tags: Mapping[str, str], changed: Mapping[str, str | None]) -> dict[str, str]:
    """Tags after a change. Raises CloudError for reserved keys, oversized tags and more than 50."""
    for key, value in changed.items():
        if key.lower().startswith("aws:"):
            raise CloudError("InvalidParameterValue", f"Tag keys starting with 'aws:' are reserved: {key}")
        if not 0 < len(key) <= 128 or len(value or "") > 256:
            raise CloudError("InvalidParameterValue", f"Tag key or value is too long: {key[:40]}")
    result = {key: value for key, value in (dict(tags) | dict(changed)).items() if value is not None}
    if len(result) > MOST_TAGS:
        raise CloudError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    return result


def _not_found(identity: str) -> CloudError:
    return CloudError("InvalidSnapshot.NotFound", f"The snapshot '{identity}' does not exist.")


def _facts(snapshot: Snapshot, now: float) -> dict[str, list[str]]:
    return tag_facts(snapshot.tags) | {
        "description": [snapshot.description],
        "encrypted": [str(snapshot.encrypted).lower()],
        "owner-id": [snapshot.owner],
        "progress": [_progress(snapshot, now)],
        "snapshot-id": [snapshot.id],
        "start-time": [_time(snapshot.started).strftime("%Y-%m-%dT%H:%M:%S.000Z")],
        "status": [snapshot.state(now)],
        "volume-id": [NO_VOLUME],
        "volume-size": [str(snapshot.volume_size)],
        "storage-tier": ["standard"],
    }


def _progress(snapshot: Snapshot, now: float) -> str:
    if snapshot.state(now) == "completed":
        return "100%"
    return f"{snapshot.progress or 0}%"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
