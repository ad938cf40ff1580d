"""Garbage collection of published images: find out what may go, and delete it, images together with their snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from invar.aws.client import Cloud
from invar.aws.image_users import image_uses
from invar.aws.images import ImageRecord, deregister_image, find_images, launch_permissions
from invar.aws.snapshots import SnapshotRecord, delete_snapshot, find_snapshots
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.gc_choice import Choice, Rules, choose_generations, choose_orphans
from invar.fleet.inventory import Generation, Inventory, take_inventory
from invar.fleet.record import find_record_snapshots
from invar.fleet.regions import everywhere
from invar.fleet.tags import CONFIGURATION, RECORD, SYSTEM


@dataclass(frozen=True, slots=True)
class Deleted:
    """What went, by region; `spared` tells what was found in use at the last moment; `failed` what went wrong."""

    images: dict[str, list[str]]
    snapshots: dict[str, list[str]]
    spared: dict[str, list[str]]
    failed: dict[str, InvarError]


def survey(
    cloud: Cloud, regions: Sequence[str], configurations: Sequence[str], rules: Rules, now: float, report: Report
) -> Choice:
    """What may go of these configurations' images in these regions. Only reads.

    Raises InvarError when any region, or any kind of user of images, cannot be asked: nothing is garbage then.
    """
    with report.stage("find out what is used"):
        inventory = take_inventory(cloud, regions, configurations)
        _require_all(inventory)
        shared = everywhere(regions, lambda region: _shared(cloud, region, inventory.generations))
        orphans = everywhere(
            regions,
            lambda region: choose_orphans(
                region,
                _snapshots(cloud, region, configurations),
                find_images(cloud, region),
                configurations,
                rules,
                now,
            ),
        )
    for failed in (*shared.failed.values(), *orphans.failed.values()):
        raise failed
    counts: dict[str, int] = {}
    for found in shared.done.values():
        counts.update(found)
    doomed, kept = choose_generations(inventory.generations, counts, rules, now)
    return Choice(doomed, kept, tuple(one for region in regions for one in orphans.done[region]))


def sweep(cloud: Cloud, choice: Choice, report: Report) -> Deleted:
    """Delete what was chosen. Who uses images is asked once more first; one that is in use now is spared.

    What fails in a region leaves the others; a rerun deletes what is left.
    """
    images: dict[str, list[str]] = {}
    snapshots: dict[str, list[str]] = {}
    spared: dict[str, list[str]] = {}
    regions = sorted({region for one in choice.doomed for region in one.images} | {o.region for o in choice.orphans})

    def clean(region: str) -> None:
        here = [one.images[region] for one in choice.doomed if region in one.images]
        used = {use.image for use in image_uses(cloud, region)} if here else set()
        with report.stage(f"delete in {region}") as stage:
            for done, image in enumerate(here, 1):
                if image.id in used:
                    spared.setdefault(region, []).append(image.id)
                    continue
                left = deregister_image(cloud, region, image.id)
                images.setdefault(region, []).append(image.id)
                gone = [snapshot for snapshot in image.snapshots if snapshot not in left]
                snapshots.setdefault(region, []).extend(gone + _delete_records(cloud, region, image))
                stage.progress(done, len(here), "images")
            for orphan in choice.orphans:
                if orphan.region == region and delete_snapshot(cloud, region, orphan.snapshot.id):
                    snapshots.setdefault(region, []).append(orphan.snapshot.id)

    outcomes = everywhere(regions, clean)
    return Deleted(images, snapshots, spared, outcomes.failed)


def _require_all(inventory: Inventory) -> None:
    for region, error in inventory.failed.items():
        raise InvarError(
            f"{region} cannot be asked who uses images there: nothing is deleted",
            where=error.where,
            why=error.why or error.what,
            hint="try again, or name the regions with --region",
        )


def _shared(cloud: Cloud, region: str, generations: Sequence[Generation]) -> Mapping[str, int]:
    here = [one.images[region] for one in generations if region in one.images]
    return {image.id: len(launch_permissions(cloud, region, image.id)) for image in here}


def _snapshots(cloud: Cloud, region: str, configurations: Sequence[str]) -> list[SnapshotRecord]:
    return [one for name in configurations for one in find_snapshots(cloud, region, {CONFIGURATION: name})]


def _delete_records(cloud: Cloud, region: str, image: ImageRecord) -> list[str]:
    """Delete a deregistered image's record. Returns the snapshots."""
    own = {name: image.tags[name] for name in (CONFIGURATION, SYSTEM)}
    records = [one for one in find_record_snapshots(cloud, region, own) if one.tags[RECORD] == image.tags.get(RECORD)]
    return [one.id for one in records if delete_snapshot(cloud, region, one.id)]
