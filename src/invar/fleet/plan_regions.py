"""What publish would do in each region: the same walk, with the last writes left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invar.aws.blocks import changes
from invar.aws.client import Cloud
from invar.aws.images import ImageRecord, find_images
from invar.aws.parameters import get_parameter
from invar.aws.snapshot_start import Parent
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.comparison import compare
from invar.fleet.plan import CloudPlan, Plan, RegionPlan
from invar.fleet.publish import Destination, find_parent, next_generation, parameter_name
from invar.fleet.published import newest, subject_of_image
from invar.fleet.regions import everywhere
from invar.fleet.subjects import Subject
from invar.fleet.tags import CONFIGURATION, SYSTEM, generation_of
from invar.store.objects import Store


def plan_regions(cloud: Cloud, new: Subject, to: Destination, store: Store, report: Report) -> Plan:
    """The plan for a cloud; it only reads. Of a system that is not built, every region is planned as if it were new.

    A region that does not answer is planned as unreachable. Raises InvarError when none answers.
    """
    blocks = new.blocks
    tags = {CONFIGURATION: new.configuration}
    regions = list(dict.fromkeys(to.regions))
    with report.stage("ask regions"):
        known = everywhere(regions, lambda region: find_images(cloud, region, tags=tags))
        if regions and not known.done:
            raise next(iter(known.failed.values()))
        system = new.system_digest or ""
        named = everywhere(
            [region for region in known.done if present(known.done[region], system)],
            lambda region: get_parameter(cloud, region, parameter_name(new.configuration)),
        )
        parent = _parent(cloud, known.done, system, to, store, report)
    parameters = {region: None if one is None else one.value for region, one in named.done.items()}
    planned = {
        one.region: one
        for one in region_plans(
            known.done,
            system,
            parameters,
            parent=None if parent is None else parent.snapshot,
            blocks=None if blocks is None else len(changes(blocks, None if parent is None else parent.blocks)),
        )
    }
    for region, error in (known.failed | named.failed).items():
        planned[region] = RegionPlan(region, "unreachable", why=error.why or error.what)
    before = newest(known.done)
    comparison = None
    if before is not None:
        old = _subject(cloud, before, store, report)
        comparison = None if old is None else compare(old, new, store, report)
    generations = CloudPlan(
        before=0 if before is None else generation_of(before.tags),
        after=next_generation(list(known.done.values()), system),
        regions=tuple(planned[region] for region in regions),
    )
    return Plan(new, comparison, generations)


def present(images: Sequence[ImageRecord], system_digest: str) -> ImageRecord | None:
    """The image of a system in one region, available rather than still being copied; None if it must be made."""
    own = [image for image in images if image.tags.get(SYSTEM) == system_digest]
    ready = [image for image in own if image.state == "available"]
    return next(iter(ready), None) or next((image for image in own if image.state == "pending"), None)


def region_plans(
    known: Mapping[str, Sequence[ImageRecord]],
    system_digest: str,
    parameters: Mapping[str, str | None],
    *,
    parent: str | None,
    blocks: int | None,
) -> list[RegionPlan]:
    """What publish would do in each region that answers, given its images of the configuration.

    `parameters` are the values of the SSM parameters where the image is; `parent` and `blocks` are of an upload
    to the first region. An available image anywhere is copied rather than uploaded again.
    """
    there = {region: present(images, system_digest) for region, images in known.items()}
    ready = [region for region, image in there.items() if image is not None and image.state == "available"]
    home = ready[0] if ready else next(iter(known), None)
    plans = []
    for region, image in there.items():
        if image is None:
            if region == home:
                plans.append(RegionPlan(region, "upload", parent=parent, blocks=blocks))
            else:
                plans.append(RegionPlan(region, "copy", source=home))
        elif image.state == "pending":
            plans.append(RegionPlan(region, "wait", image.id))
        else:
            right = parameters.get(region) == image.id
            plans.append(RegionPlan(region, "nothing" if right else "name", image.id))
    return plans


def _parent(
    cloud: Cloud,
    known: Mapping[str, Sequence[ImageRecord]],
    system_digest: str,
    to: Destination,
    store: Store,
    report: Report,
) -> Parent | None:
    """What an upload to the first region would be a difference to; None also where nothing is uploaded."""
    found = [present(images, system_digest) for images in known.values()]
    if any(image is not None and image.state == "available" for image in found):
        return None
    home, images = next(iter(known.items()))
    return find_parent(cloud, home, images, to, store, report)


def _subject(cloud: Cloud, image: ImageRecord, store: Store, report: Report) -> Subject | None:
    label = f"generation {generation_of(image.tags)} ({image.id}, {image.region})"
    try:
        return subject_of_image(cloud, image, label, store, report)
    except InvarError as error:
        report.warn(f"{label} cannot be compared with: {error.what}")
        return None
