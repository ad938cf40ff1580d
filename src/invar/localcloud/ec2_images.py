"""EC2's operations on AMIs, with AWS's checks and refusals."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from invar.localcloud.clock import Clock
from invar.localcloud.database import Database
from invar.localcloud.ebs import Caller
from invar.localcloud.ec2_snapshots import Ec2Snapshots, merged_tags, specified_tags
from invar.localcloud.errors import CloudError
from invar.localcloud.filters import matches, page
from invar.localcloud.image_view import KNOWN_FILTERS, image_facts, shown_image
from invar.localcloud.images import Image, ImageStore
from invar.localcloud.registration import check_name, check_registration
from invar.localcloud.settings import Settings
from invar.localcloud.snapshots import SnapshotStore, new_id

ATTRIBUTES = {
    "description": "Description", "bootMode": "BootMode", "tpmSupport": "TpmSupport", "imdsSupport": "ImdsSupport",
    "sriovNetSupport": "SriovNetSupport", "uefiData": "UefiData", "kernel": "KernelId", "ramdisk": "RamdiskId",
}  # fmt: skip
LATEST_DEPRECATION = 10 * 366 * 86400.0

Parameters = Mapping[str, Any]


class Ec2Images:
    """The operations. Parameters and results have botocore's names and types."""

    def __init__(
        self, images: ImageStore, store: SnapshotStore, snapshots: Ec2Snapshots, database: Database, clock: Clock
    ) -> None:
        self._images = images
        self._store = store
        self._snapshots = snapshots
        self._database = database
        self._clock = clock
        self.settings = Settings()
        self._copy_faults: dict[str, str] = {}

    def fail_next_copy(self, region: str, reason: str) -> None:
        """The next copy into the region will begin well and end in state failed."""
        self._copy_faults[region] = reason

    def register_image(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """RegisterImage."""
        now = self._clock.now()
        with self._database.transaction():
            usable = {
                one.id: one.volume_size for one in self._store.of_region(caller.region) if one.state(now) == "completed"
            }
            for identity in _snapshots_named(parameters):
                if self._snapshots.require(caller, identity).state(now) != "completed":
                    raise CloudError("IncorrectState", f"The snapshot '{identity}' is not in the completed state.")
            checked = check_registration(parameters, usable)
            self._require_free_name(caller, checked.name)
            image = Image(
                id=new_id("ami"),
                region=caller.region,
                owner=caller.account,
                name=checked.name,
                description=checked.description,
                architecture=checked.architecture,
                root_device=checked.root_device,
                virtualization=checked.virtualization,
                mappings=[self._with_encryption(caller, one) for one in checked.mappings],
                registered=checked.registered,
                tags=specified_tags(parameters, "image"),
                created=now,
                ready=now + self.settings.register_seconds,
            )
            self._images.put(image)
        return {"ImageId": image.id}

    def copy_image(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """CopyImage: into the caller's region. The copy is pending until its snapshots are."""
        token = parameters.get("ClientToken")
        request = json.dumps({k: v for k, v in parameters.items() if k != "ClientToken"}, sort_keys=True, default=str)
        with self._database.transaction() as rows:
            if token:
                key = (caller.region, "CopyImage", token)
                query = "SELECT request, made FROM requests WHERE region = ? AND operation = ? AND token = ?"
                row = rows.execute(query, key).fetchone()
                if row is not None:
                    if row[0] != request:
                        raise CloudError(
                            "IdempotentParameterMismatch",
                            "The request uses the same client token as a previous, but non-identical request.",
                        )
                    return {"ImageId": row[1]}
            made = self._copied(caller, parameters)
            self._images.put(made)
            if token:
                rows.execute(
                    "INSERT INTO requests VALUES (?, ?, ?, ?, ?)",
                    (caller.region, "CopyImage", token, request, made.id),
                )
        return {"ImageId": made.id}

    def describe_images(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeImages."""
        found = self._images.of_region(caller.region)
        wanted = parameters.get("ImageIds") or []
        if wanted:
            by_id = {one.id: one for one in found}
            found = [by_id.get(identity) or self.require(caller, identity) for identity in dict.fromkeys(wanted)]
        now = self._clock.now()
        owners = {caller.account if one == "self" else one for one in parameters.get("Owners") or []}
        users = parameters.get("ExecutableUsers") or []
        shown = [
            one
            for one in found
            if (not owners or one.owner in owners)
            and (not users or _executable(one, caller, users))
            and (one.state(now) != "disabled" or parameters.get("IncludeDisabled") or wanted)
            and (one.owner == caller.account or (one.deprecated or now) >= now or parameters.get("IncludeDeprecated"))
            and matches(image_facts(one, now), parameters.get("Filters") or [], KNOWN_FILTERS)
        ]
        shown, token = page(shown, parameters, 1, 1000)
        result: dict[str, Any] = {"Images": [shown_image(one, now) for one in shown]}
        return result | ({"NextToken": token} if token else {})

    def describe_image_attribute(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeImageAttribute."""
        image = self.require(caller, parameters["ImageId"])
        attribute = parameters["Attribute"]
        result: dict[str, Any] = {"ImageId": image.id}
        if attribute == "launchPermission":
            return result | {"LaunchPermissions": list(image.permissions)}
        if attribute not in ATTRIBUTES:
            raise CloudError("InvalidRequest", f"The attribute {attribute} is not known here.")
        name = ATTRIBUTES[attribute]
        value = image.description if name == "Description" else image.registered.get(name)
        return result | {name: {} if value is None else {"Value": value}}

    def modify_image_attribute(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """ModifyImageAttribute: launch permissions, description, IMDS support."""
        image = self.require(caller, parameters["ImageId"])
        added, removed = _permission_changes(parameters)
        for one in added + removed:
            _check_permission(one)
        kept = [one for one in image.permissions if one not in removed]
        image = replace(image, permissions=tuple(kept + [one for one in added if one not in kept]))
        if "Description" in parameters:
            image = replace(image, description=parameters["Description"].get("Value", ""))
        if "ImdsSupport" in parameters:
            image = replace(image, registered=image.registered | {"ImdsSupport": parameters["ImdsSupport"]["Value"]})
        self._images.put(image)
        return {}

    def enable_image_deprecation(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """EnableImageDeprecation: a date in the future, at most ten years away, to the minute."""
        image = self.require(caller, parameters["ImageId"])
        at = _seconds(parameters["DeprecateAt"])
        now = self._clock.now()
        if at <= now:
            raise CloudError("InvalidParameterValue", "The deprecation date must be in the future.")
        if at > now + LATEST_DEPRECATION:
            raise CloudError("InvalidParameterValue", "The deprecation date is more than 10 years away.")
        self._images.put(replace(image, deprecated=round(at / 60) * 60.0))
        return {"Return": True}

    def disable_image_deprecation(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DisableImageDeprecation."""
        self._images.put(replace(self.require(caller, parameters["ImageId"]), deprecated=None))
        return {"Return": True}

    def disable_image(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DisableImage: no launches, no sharing."""
        image = self.require(caller, parameters["ImageId"])
        self._images.put(replace(image, disabled=True, permissions=()))
        return {"Return": True}

    def enable_image(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """EnableImage."""
        self._images.put(replace(self.require(caller, parameters["ImageId"]), disabled=False))
        return {"Return": True}

    def deregister_image(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeregisterImage, with its snapshots where that is asked for and no other image uses them."""
        with self._database.transaction():
            image = self.require(caller, parameters["ImageId"])
            self._images.delete(image.id)
            result: dict[str, Any] = {"Return": True}
            if parameters.get("DeleteAssociatedSnapshots"):
                result["DeleteSnapshotResults"] = [
                    {"SnapshotId": identity, "ReturnCode": self._delete_unused(caller, identity)}
                    for identity in image.snapshots
                ]
        return result

    def delete_snapshot(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeleteSnapshot: refused while an image is made of it."""
        with self._database.transaction():
            identity = parameters["SnapshotId"]
            self._snapshots.delete(caller, identity, self._user_of(caller, identity))
        return {}

    def require(self, caller: Caller, identity: str) -> Image:
        """The image, or the error for a malformed or unknown id."""
        if not re.fullmatch(r"ami-[0-9a-f]{8,17}", identity):
            raise CloudError("InvalidAMIID.Malformed", f'Invalid id: "{identity}"')
        image = self._images.find(caller.region, identity)
        if image is None:
            raise CloudError("InvalidAMIID.NotFound", f"The image id '[{identity}]' does not exist")
        return image

    def change_tags(self, caller: Caller, identity: str, changed: dict[str, str | None]) -> None:
        """Set tags, or with None delete them."""
        image = self.require(caller, identity)
        self._images.put(replace(image, tags=merged_tags(image.tags, changed)))

    def tagged(self, caller: Caller) -> list[tuple[str, dict[str, str]]]:
        """Every image's id and tags."""
        return [(one.id, one.tags) for one in self._images.of_region(caller.region)]

    def _copied(self, caller: Caller, parameters: Parameters) -> Image:
        source_region = parameters["SourceRegion"]
        source = self.require(replace(caller, region=source_region), parameters["SourceImageId"])
        now = self._clock.now()
        if source.state(now) != "available":
            raise CloudError("InvalidRequest", f"The image {source.id} is not available.")
        name = check_name(parameters.get("Name"))
        self._require_free_name(caller, name)
        identity = new_id("ami")
        fault = self._copy_faults.pop(caller.region, None)
        mappings = copy.deepcopy(source.mappings)
        ready = now
        for one in mappings:
            if "SnapshotId" not in one.get("Ebs", {}):
                continue
            original = self._store.find(source_region, one["Ebs"]["SnapshotId"])
            if original is None:
                raise CloudError("InvalidRequest", "The snapshot of the source image is gone.")
            copied = self._snapshots.copy(
                caller,
                original,
                description=f"Copied for DestinationAmi {identity} from SourceAmi {source.id}"
                f" for SourceSnapshot {original.id}.",
                tags=specified_tags(parameters, "snapshot"),
                encrypted=bool(parameters.get("Encrypted", False)),
                kms_key=parameters.get("KmsKeyId"),
                fault=fault,
            )
            one["Ebs"]["SnapshotId"] = copied.id
            one["Ebs"]["Encrypted"] = copied.encrypted
            ready = max(ready, copied.sealed or now)
        kept = source.tags if parameters.get("CopyImageTags") else {}
        return replace(
            source,
            id=identity,
            region=caller.region,
            owner=caller.account,
            name=name,
            description=parameters.get(
                "Description", f"[Copied {source.id} from {source_region}] {source.description}".rstrip()
            ),
            mappings=mappings,
            tags=kept | specified_tags(parameters, "image"),
            created=now,
            ready=ready,
            fault=fault,
            permissions=(),
            deprecated=source.deprecated,
            source_id=source.id,
            source_region=source_region,
        )

    def _require_free_name(self, caller: Caller, name: str) -> None:
        for one in self._images.of_region(caller.region):
            if one.name == name and one.owner == caller.account and not one.fault:
                raise CloudError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {one.id}")

    def _with_encryption(self, caller: Caller, mapping: dict[str, Any]) -> dict[str, Any]:
        ebs = mapping.get("Ebs")
        if ebs is None:
            return mapping
        snapshot = self._store.find(caller.region, ebs.get("SnapshotId", ""))
        encrypted = snapshot.encrypted if snapshot else bool(ebs.get("Encrypted", False))
        return {**mapping, "Ebs": {**ebs, "Encrypted": encrypted}}

    def _user_of(self, caller: Caller, snapshot: str) -> str | None:
        return next((one.id for one in self._images.of_region(caller.region) if snapshot in one.snapshots), None)

    def _delete_unused(self, caller: Caller, identity: str) -> str:
        if self._user_of(caller, identity) is not None:
            return "skipped"
        if self._store.find(caller.region, identity) is None:
            return "client-error"
        self._store.delete(identity)
        return "success"


def _snapshots_named(parameters: Parameters) -> list[str]:
    mappings = parameters.get("BlockDeviceMappings") or []
    return [one["Ebs"]["SnapshotId"] for one in mappings if "SnapshotId" in one.get("Ebs", {})]


def _permission_changes(parameters: Parameters) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Launch permissions to add and to remove, from either way in which the call can give them."""
    changes = parameters.get("LaunchPermission") or {}
    added, removed = list(changes.get("Add", [])), list(changes.get("Remove", []))
    listed = [
        {name: value}
        for parameter, name in (
            ("UserIds", "UserId"),
            ("UserGroups", "Group"),
            ("OrganizationArns", "OrganizationArn"),
            ("OrganizationalUnitArns", "OrganizationalUnitArn"),
        )
        for value in parameters.get(parameter) or []
    ]
    if listed:
        operation = parameters.get("OperationType")
        if operation not in ("add", "remove"):
            raise CloudError("InvalidRequest", "OperationType must be add or remove.")
        (added if operation == "add" else removed).extend(listed)
    return added, removed


def _check_permission(permission: Mapping[str, str]) -> None:
    account = permission.get("UserId")
    if account is not None and not re.fullmatch(r"\d{12}", account):
        raise CloudError(
            "InvalidAMIAttributeItemValue", f'Invalid attribute item value "{account}" for userId item type.'
        )
    if permission.get("Group", "all") != "all":
        group = permission["Group"]
        raise CloudError(
            "InvalidAMIAttributeItemValue", f'Invalid attribute item value "{group}" for userGroup item type.'
        )
    for name, kind in (("OrganizationArn", "organization"), ("OrganizationalUnitArn", "ou")):
        arn = permission.get(name)
        if arn is not None and not re.fullmatch(rf"arn:aws[a-z-]*:organizations::\d{{12}}:{kind}/.+", arn):
            raise CloudError("InvalidParameterValue", f"Value ({arn}) for parameter {name} is invalid.")


def _executable(image: Image, caller: Caller, users: list[str]) -> bool:
    accounts = {caller.account if user == "self" else user for user in users}
    granted = {one.get("UserId") for one in image.permissions}
    return ("all" in accounts and image.public) or bool(accounts & granted)


def _seconds(value: Any) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
