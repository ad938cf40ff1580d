"""What the cloud knows of AMIs: their records, by region."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from invar.localcloud.database import Database

State = Literal["pending", "available", "failed", "disabled"]


@dataclass(frozen=True, slots=True)
class Image:
    """One AMI. Times are seconds since 1970 on the cloud's clock.

    `mappings` are botocore's BlockDeviceMapping structures. `ready` is the time from which it is available, or failed
    with `fault`. `permissions` are botocore's LaunchPermission structures. `registered` holds what RegisterImage gave
    beside them under botocore's names (BootMode, TpmSupport, ...).
    """

    id: str
    region: str
    owner: str
    name: str
    description: str
    architecture: str
    root_device: str
    virtualization: str
    mappings: list[dict[str, Any]]
    registered: dict[str, Any]
    tags: dict[str, str]
    created: float
    ready: float
    fault: str | None = None
    permissions: tuple[dict[str, str], ...] = ()
    deprecated: float | None = None
    disabled: bool = False
    source_id: str | None = None
    source_region: str | None = None

    def state(self, now: float) -> State:
        """What AWS would call its state now."""
        if now < self.ready:
            return "pending"
        if self.fault:
            return "failed"
        return "disabled" if self.disabled else "available"

    @property
    def snapshots(self) -> list[str]:
        """Ids of the snapshots that the image is made of."""
        return [one["Ebs"]["SnapshotId"] for one in self.mappings if "SnapshotId" in one.get("Ebs", {})]

    @property
    def public(self) -> bool:
        """Whether everyone may launch it."""
        return {"Group": "all"} in self.permissions


class ImageStore:
    """AMIs of all regions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, image: Image) -> None:
        """Keep a new or changed image."""
        with self._database.transaction() as rows:
            record = json.dumps(asdict(image), sort_keys=True)
            rows.execute(
                "INSERT INTO images VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (image.id, image.region, record),
            )

    def find(self, region: str, identity: str) -> Image | None:
        """The image, if that region has it."""
        with self._database.transaction() as rows:
            query = "SELECT record FROM images WHERE id = ? AND region = ?"
            row = rows.execute(query, (identity, region)).fetchone()
        return None if row is None else _image(row[0])

    def of_region(self, region: str) -> list[Image]:
        """All images of a region, oldest first."""
        with self._database.transaction() as rows:
            found = rows.execute("SELECT record FROM images WHERE region = ? ORDER BY rowid", (region,)).fetchall()
        return [_image(row[0]) for row in found]

    def everything(self) -> list[Image]:
        """All images of all regions, oldest first."""
        with self._database.transaction() as rows:
            found = rows.execute("SELECT record FROM images ORDER BY rowid").fetchall()
        return [_image(row[0]) for row in found]

    def delete(self, identity: str) -> None:
        """Forget an image."""
        with self._database.transaction() as rows:
            rows.execute("DELETE FROM images WHERE id = ?", (identity,))


def _image(record: str) -> Image:
    fields = json.loads(record)
    fields["permissions"] = tuple(fields["permissions"])
    return Image(**fields)
