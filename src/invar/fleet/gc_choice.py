"""Which published images may go, and why the others stay. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from invar.aws.images import ImageRecord
from invar.aws.snapshot_start import TAG_BLOCKS
from invar.aws.snapshots import SnapshotRecord
from invar.fleet.inventory import Generation
from invar.fleet.tags import CONFIGURATION, RECORD

PREFIX = 8
"""Characters of a digest that name it on the command line."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept beside what is in use. Ages in seconds.

    `generations`: so many of the newest of each configuration, at least one. `names`: AMI ids, AMI names, digests (or
    at least 8 digits of one), CONFIGURATION or CONFIGURATION@GENERATION. `pinned`: reference → the file that names it.
    `shared`: whether images that other accounts may launch can go. `younger`: what is younger stays.
    """

    generations: int = 3
    names: frozenset[str] = frozenset()
    pinned: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False
    younger: float = 0.0
    orphans_younger: float = 86400.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A generation that stays, and every reason for it."""

    generation: Generation
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Orphan:
    """A snapshot that belongs to no image."""

    region: str
    snapshot: SnapshotRecord
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes and what stays."""

    doomed: tuple[Generation, ...]
    kept: tuple[Kept, ...]
    orphans: tuple[Orphan, ...]


def choose_generations(
    generations: Sequence[Generation], shared: Mapping[str, int], rules: Rules, now: float
) -> tuple[tuple[Generation, ...], tuple[Kept, ...]]:
    """The generations that may go, and the others. `shared`: image id → how many others may launch it.

    A generation goes or stays as a whole: what is in use in one region stays in all, so that a fleet can go back.
    """
    newest: dict[str, list[int]] = {}
    for one in generations:
        newest.setdefault(one.configuration, []).append(one.number)
    doomed, kept = [], []
    for one in generations:
        first = sorted(newest[one.configuration], reverse=True)[: max(1, rules.generations)]
        reasons = _reasons(one, one.number in first, len(first), shared, rules, now)
        if reasons:
            kept.append(Kept(one, tuple(reasons)))
        else:
            doomed.append(one)
    return tuple(doomed), tuple(kept)


def choose_orphans(
    region: str,
    snapshots: Iterable[SnapshotRecord],
    images: Sequence[ImageRecord],
    configurations: Sequence[str],
    rules: Rules,
    now: float,
) -> tuple[Orphan, ...]:
    """Invar's snapshots in a region that no image there is made of and no image has as its record.

    `images` are all of the account's in that region. Young ones stay: an upload may be under way.
    """
    used = {snapshot for image in images for snapshot in image.snapshots}
    records = {image.tags[RECORD] for image in images if RECORD in image.tags}
    return tuple(
        Orphan(region, one, "the record of no image" if RECORD in one.tags else f"an upload left {one.state}")
        for one in snapshots
        if TAG_BLOCKS in one.tags
        and one.tags.get(CONFIGURATION) in configurations
        and one.id not in used
        and one.tags.get(RECORD) not in records
        and one.id not in rules.pinned
        and one.id not in rules.names
        and now - one.started >= rules.orphans_younger
    )


def _reasons(
    one: Generation, newest: bool, generations: int, shared: Mapping[str, int], rules: Rules, now: float
) -> list[str]:
    reasons: list[str] = []
    if newest:
        reasons.append("the newest" if generations == 1 else f"among the {generations} newest")
    for region, uses in one.uses.items():
        counts = Counter(use.kind for use in uses)
        users = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(counts.items()))
        reasons.append(f"{region}: used by {users}")
    pins = sorted({rules.pinned[name] for name in _references(one) if name in rules.pinned})
    reasons += [f"named in {path}" for path in pins]
    if _named(one, rules.names):
        reasons.append("--keep")
    waiting = [region for region, image in one.images.items() if image.state in ("pending", "transient")]
    if waiting:
        reasons.append(f"still being made in {', '.join(waiting)}")
    others = sum(shared.get(image.id, 0) for image in one.images.values())
    if others and not rules.shared:
        reasons.append(f"shared with {others} other{'s' if others > 1 else ''}")
    if now - max(image.created for image in one.images.values()) < rules.younger:
        reasons.append("too young")
    return reasons


def _references(one: Generation) -> set[str]:
    """Everything by which a file can name the generation."""
    images = one.images.values()
    return {
        one.system_digest,
        *(image.id for image in images),
        *(snapshot for image in images for snapshot in image.snapshots),
    }


def _named(one: Generation, names: frozenset[str]) -> bool:
    exact = {*_references(one), one.configuration, f"{one.configuration}@{one.number}"}
    exact |= {image.name for image in one.images.values()}
    return any(name in exact or (len(name) >= PREFIX and one.system_digest.startswith(name)) for name in names)
