"""Begins generations of a fleet: finds the images, makes launch template versions, claims a number in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from invar.aws.client import Cloud
from invar.aws.groups import GroupRecord, find_group
from invar.aws.images import ImageRecord, describe_image, find_images
from invar.aws.launch_templates import create_template, create_version, find_template, list_versions
from invar.aws.refreshes import newest_refresh
from invar.core.errors import ExitCode, InvarError
from invar.fleet.inventory import is_ours
from invar.fleet.launch import description, group_tags, launch_data
from invar.fleet.ledger import Deployment, Entry, History, Kind, Ledger, Standing, Terms, busy
from invar.fleet.regions import everywhere
from invar.fleet.spec import FleetSpec
from invar.fleet.tags import COMMIT, CONFIGURATION, DIRTY, SYSTEM, generation_of


def terms_of(spec: FleetSpec) -> Terms:
    """What of a declaration a rollout needs."""
    return Terms(
        spec.order, spec.instance_types, spec.spot, spec.health, spec.rollout, parameters=bool(spec.parameters)
    )


def published_images(cloud: Cloud, spec: FleetSpec, generation: int | None = None) -> dict[str, ImageRecord]:
    """The image in each of a fleet's regions: of a published generation, or of the newest one.

    Raises InvarError when a region has none, or does not answer.
    """
    outcomes = everywhere(
        spec.order, lambda region: find_images(cloud, region, tags={CONFIGURATION: spec.configuration})
    )
    for error in outcomes.failed.values():
        raise error
    return choose_images(spec, outcomes.done, generation)


def choose_images(
    spec: FleetSpec, found: Mapping[str, Sequence[ImageRecord]], generation: int | None
) -> dict[str, ImageRecord]:
    """One image in each region, all of one system. Pure. Raises InvarError."""
    ours = {
        region: [one for one in images if one.state == "available" and is_ours(one, (spec.configuration,))]
        for region, images in found.items()
    }
    numbers = {generation_of(one.tags) for images in ours.values() for one in images}
    if not numbers:
        raise InvarError(
            f"{spec.configuration} is not published in {', '.join(found)}",
            hint=f"invar publish . --region {','.join(spec.order)}",
        )
    wanted = max(numbers) if generation is None else generation
    chosen = {region: one for region, images in ours.items() for one in images if generation_of(one.tags) == wanted}
    missing = [region for region in found if region not in chosen]
    if missing:
        raise InvarError(
            f"generation {wanted} of {spec.configuration} is not published in {', '.join(missing)}",
            hint=f"invar publish . --region {','.join(spec.order)}",
            exit_code=ExitCode.FAILED if wanted in numbers else ExitCode.USAGE,
        )
    if len({one.tags[SYSTEM] for one in chosen.values()}) > 1:
        raise InvarError(
            f"generation {wanted} of {spec.configuration} is not the same system everywhere",
            why="\n".join(f"{region}: {one.id} {one.tags[SYSTEM][:12]}" for region, one in chosen.items()),
        )
    return chosen


def find_fleet_groups(cloud: Cloud, spec: FleetSpec) -> dict[str, GroupRecord]:
    """The fleet's groups, by region; regions without one are left out. Raises InvarError."""
    outcomes = everywhere(spec.order, lambda region: find_group(cloud, region, spec.group))
    for error in outcomes.failed.values():
        raise error
    return {region: group for region, group in outcomes.done.items() if group is not None}


def ensure_versions(cloud: Cloud, spec: FleetSpec, images: Mapping[str, ImageRecord]) -> dict[str, Deployment]:
    """A launch template version for each region's image; one with the same data is used again. Raises InvarError."""

    def ensure(region: str) -> Deployment:
        image = images[region]
        data = launch_data(spec, region, image.id, image.tags[SYSTEM])
        told = description(data, spec.instance_types, spec.spot)
        template = find_template(cloud, region, spec.group)
        if template is None:
            template = create_template(cloud, region, spec.group, data, told, group_tags(spec))
        for version in list_versions(cloud, region, template):
            if version.description == told and version.data.get("ImageId") == image.id:
                return Deployment(image.id, template, str(version.number))
        return Deployment(image.id, template, str(create_version(cloud, region, template, data, told)))

    outcomes = everywhere(spec.order, ensure)
    for error in outcomes.failed.values():
        raise error
    return outcomes.done


def begin_rollout(
    cloud: Cloud,
    spec: FleetSpec,
    ledger: Ledger,
    who: str,
    now: float,
    *,
    image: int | None = None,
    force: bool = False,
) -> Entry | None:
    """Begin a rollout to the newest published image, or that of published generation `image`. None: it runs already.

    `force` ignores the time window. Raises InvarError when another one is under way.
    """
    history = _at_rest(ledger, spec)
    _require_window(spec, now, force)
    groups = _require_groups(cloud, spec)
    images = published_images(cloud, spec, image)
    deployments = ensure_versions(cloud, spec, images)
    current = history.current
    if current is not None and current.entry.deployments == deployments and _all_at(groups, deployments):
        return None
    entry = _entry(spec, "rollout", images, deployments, history, who, now, _past(cloud, groups))
    ledger.claim(entry)
    return entry


def begin_creation(
    cloud: Cloud, spec: FleetSpec, ledger: Ledger, who: str, now: float, groups: Mapping[str, GroupRecord]
) -> Entry:
    """Begin the generation with which groups come into being, of the current image, or at first the newest published.

    Raises InvarError.
    """
    history = _at_rest(ledger, spec)
    current = history.current
    images = published_images(cloud, spec, None if current is None else current.entry.image_generation)
    deployments = ensure_versions(cloud, spec, images)
    entry = _entry(spec, "create", images, deployments, history, who, now, _past(cloud, groups))
    ledger.claim(entry)
    return entry


def begin_rollback(
    cloud: Cloud, spec: FleetSpec, ledger: Ledger, who: str, now: float, generation: int | None
) -> Entry:
    """Begin going back to an earlier generation of the fleet, or to the one before the current one.

    A rollout under way is not gone back from like this, but by `invar abort`. Raises InvarError.
    """
    history = _at_rest(ledger, spec)
    goal = choose_goal(history, generation)
    groups = _require_groups(cloud, spec)
    missing = [region for region in spec.order if region not in goal.entry.deployments]
    if missing:
        raise InvarError(f"generation {goal.entry.number} was not in {', '.join(missing)}")
    _require_images(cloud, goal)
    newest = history.newest
    assert newest is not None
    entry = replace(
        goal.entry,
        number=newest.entry.number + 1,
        kind="rollback",
        previous=None if history.current is None else history.current.entry.number,
        repeats=goal.entry.number,
        who=who,
        began=now,
        past=_past(cloud, groups),
        terms=replace(
            goal.entry.terms,
            order=spec.order,
            health=spec.health,
            rollout=spec.rollout,
        ),
    )
    ledger.claim(entry)
    return entry


def choose_goal(history: History, generation: int | None) -> Standing:
    """Which generation a rollback goes to: the one named, or the last good one that is another than the current one.

    Pure. Raises InvarError.
    """
    if generation is not None:
        found = history.of(generation)
        if found.outcome is None or found.outcome.state != "done":
            raise InvarError(
                f"generation {generation} never ran everywhere: it is {found.word}",
                hint="name one that is done: invar history",
                exit_code=ExitCode.USAGE,
            )
        return found
    current = history.current
    for one in reversed(history.standings):
        good = one.outcome is not None and one.outcome.state == "done"
        if current is not None and good and one.entry.deployments != current.entry.deployments:
            return one
    raise InvarError("there is no earlier generation to go back to", hint="invar history shows what there was")


def _at_rest(ledger: Ledger, spec: FleetSpec) -> History:
    history = ledger.history()
    if history.newest is not None and history.newest.open:
        raise busy(spec.name, history.newest)
    return history


def _entry(
    spec: FleetSpec,
    kind: Kind,
    images: Mapping[str, ImageRecord],
    deployments: dict[str, Deployment],
    history: History,
    who: str,
    now: float,
    past: dict[str, str],
) -> Entry:
    image = images[spec.order[0]]
    return Entry(
        number=1 if history.newest is None else history.newest.entry.number + 1,
        kind=kind,
        configuration=spec.configuration,
        image_generation=generation_of(image.tags),
        system_digest=image.tags[SYSTEM],
        commit=image.tags.get(COMMIT),
        dirty=image.tags.get(DIRTY) == "true",
        deployments=deployments,
        previous=None if history.current is None else history.current.entry.number,
        repeats=None,
        who=who,
        began=now,
        past=past,
        terms=terms_of(spec),
    )


def _past(cloud: Cloud, groups: Mapping[str, GroupRecord]) -> dict[str, str]:
    """The newest refresh of each group."""
    found = {region: newest_refresh(cloud, region, group.name) for region, group in groups.items()}
    for region, refresh in found.items():
        if refresh is not None and (refresh.active or refresh.ending):
            raise InvarError(
                f"an instance refresh is under way in {region} that no generation of the ledger began",
                why=f"{refresh.id} is {refresh.status}",
                hint="wait for it, or cancel it: aws autoscaling cancel-instance-refresh",
            )
    return {region: refresh.id for region, refresh in found.items() if refresh is not None}


def _require_groups(cloud: Cloud, spec: FleetSpec) -> dict[str, GroupRecord]:
    groups = find_fleet_groups(cloud, spec)
    missing = [region for region in spec.order if region not in groups]
    if missing:
        raise InvarError(
            f"the fleet {spec.name} has no group in {', '.join(missing)}", hint="invar fleet apply makes it"
        )
    return groups


def _require_window(spec: FleetSpec, now: float, force: bool) -> None:
    window = spec.rollout.window
    if window is not None and not force and not window.opens(now):
        raise InvarError(
            f"rollouts of {spec.name} do not begin now", why=f"the window is {window}", hint="--now ignores it"
        )


def _require_images(cloud: Cloud, goal: Standing) -> None:
    for region, deployment in goal.entry.deployments.items():
        image = describe_image(cloud, region, deployment.image)
        if image is None or image.state != "available":
            raise InvarError(
                f"the image of generation {goal.entry.number} is gone in {region}",
                why=f"{deployment.image} is {'not there' if image is None else image.state}",
                hint="publish that commit again, and roll it out",
            )


def _all_at(groups: Mapping[str, GroupRecord], deployments: Mapping[str, Deployment]) -> bool:
    return all(
        (groups[region].template, groups[region].version) == (target.template, target.version)
        and all(
            (member.template, member.version) == (target.template, target.version)
            for member in groups[region].members
            if member.counts
        )
        for region, target in deployments.items()
    )
