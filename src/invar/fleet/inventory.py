"""Which published images there are, gathered by generation over all regions, and who uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from invar.aws.client import Cloud
from invar.aws.image_users import Use, image_uses
from invar.aws.images import ImageRecord, find_images
from invar.core.errors import InvarError
from invar.fleet.regions import everywhere
from invar.fleet.tags import CONFIGURATION, GENERATION, SYSTEM, generation_of


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of a configuration: its image in each region that has it, and each region's users of it."""

    configuration: str
    number: int
    system_digest: str
    images: dict[str, ImageRecord]
    uses: dict[str, tuple[Use, ...]]

    @property
    def created(self) -> float:
        """When its first image was made, in seconds since 1970."""
        return min(image.created for image in self.images.values())


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every generation, newest first within its configuration; `failed` tells which regions could not be asked."""

    generations: tuple[Generation, ...]
    failed: dict[str, InvarError]


def take_inventory(cloud: Cloud, regions: Sequence[str], configurations: Sequence[str] = ()) -> Inventory:
    """The images of these configurations (none: of all) in these regions. Raises InvarError when no region answers."""

    def look(region: str) -> tuple[list[ImageRecord], list[Use]]:
        tags = {CONFIGURATION: configurations[0]} if len(configurations) == 1 else {}
        found = find_images(cloud, region, tags=tags)
        ours = [image for image in found if is_ours(image, configurations)]
        return ours, image_uses(cloud, region) if ours else []

    outcomes = everywhere(regions, look)
    if regions and not outcomes.done:
        raise next(iter(outcomes.failed.values()))
    return Inventory(gather(outcomes.done), outcomes.failed)


def is_ours(image: ImageRecord, configurations: Sequence[str]) -> bool:
    """Whether Invar published the image, for one of these configurations (none: for any)."""
    whole = all(name in image.tags for name in (CONFIGURATION, GENERATION, SYSTEM))
    return whole and (not configurations or image.tags[CONFIGURATION] in configurations)


def gather(regions: Mapping[str, tuple[Sequence[ImageRecord], Sequence[Use]]]) -> tuple[Generation, ...]:
    """What each region has, put together: one Generation for each system of a configuration."""
    images: dict[tuple[str, int, str], dict[str, ImageRecord]] = {}
    uses: dict[str, list[Use]] = {}
    for region, (found, used) in regions.items():
        for image in found:
            key = (image.tags[CONFIGURATION], generation_of(image.tags), image.tags[SYSTEM])
            images.setdefault(key, {})[region] = image
        for use in used:
            uses.setdefault(use.image, []).append(use)
    return tuple(
        Generation(
            configuration,
            number,
            system,
            here,
            {region: tuple(uses[image.id]) for region, image in here.items() if image.id in uses},
        )
        for (configuration, number, system), here in sorted(images.items(), key=lambda one: (one[0][0], -one[0][1]))
    )
