"""What may go and why the rest stays, as a table of cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fleet.images import image
from invar.aws.image_users import Kind, Use
from invar.aws.snapshots import SnapshotRecord
from invar.fleet.gc_choice import Rules, choose_generations, choose_orphans
from invar.fleet.inventory import Generation, gather

DAY = 86400.0
NOW = 100 * DAY
A, B = "us-east-1", "eu-west-1"


def generations(count: int, *, uses: dict[int, Use] | None = None, **fields: Any) -> tuple[Generation, ...]:
    """Generations 1 to `count` of one configuration in two regions; generation N is N days older than the next."""
    found: dict[str, tuple[list[Any], list[Use]]] = {}
    for region in (A, B):
        images = [
            image(number, region=region, id=f"ami-{region[0]}{number:07x}", created=(60 + number) * DAY, **fields)
            for number in range(1, count + 1)
        ]
        used = [use for number, use in (uses or {}).items() if use.image == f"ami-{region[0]}{number:07x}"]
        found[region] = (images, used)
    return gather(found)


def doomed(found: Sequence[Generation], rules: Rules, shared: dict[str, int] | None = None) -> list[int]:
    gone, kept = choose_generations(found, shared or {}, rules, NOW)
    assert len(gone) + len(kept) == len(found)
    assert all(one.reasons for one in kept)
    return sorted(one.number for one in gone)


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        (Rules(), [1, 2]),
        (Rules(generations=1), [1, 2, 3, 4]),
        (Rules(generations=0), [1, 2, 3, 4]),
        (Rules(generations=9), []),
        (Rules(generations=1, names=frozenset({"web@2"})), [1, 3, 4]),
        (Rules(generations=1, names=frozenset({"web"})), []),
        (Rules(generations=1, names=frozenset({"ami-u0000003"})), [1, 2, 4]),
        (Rules(generations=1, names=frozenset({f"{3:064x}"})), [1, 2, 4]),
        (Rules(generations=1, names=frozenset({"00000000"})), []),
        (Rules(generations=1, names=frozenset({"0000"})), [1, 2, 3, 4]),
        (Rules(generations=1, names=frozenset({"other@2"})), [1, 2, 3, 4]),
        (Rules(generations=1, pinned={"ami-e0000001": "infra/main.tf"}), [2, 3, 4]),
        (Rules(generations=1, pinned={f"{4:064x}": "pins.json"}), [1, 2, 3]),
        (Rules(generations=1, younger=37 * DAY), [1, 2, 3]),
    ],
)
def test_rules(rules: Rules, gone: list[int]) -> None:
    assert doomed(generations(5), rules) == gone


@pytest.mark.parametrize("kind", ["instance", "launch template", "group", "launch configuration", "parameter"])
@pytest.mark.parametrize("region", [A, B])
def test_what_anyone_uses_anywhere_stays_everywhere(kind: Kind, region: str) -> None:
    use = Use(f"ami-{region[0]}0000002", kind, "x")
    assert doomed(generations(5, uses={2: use}), Rules(generations=1)) == [1, 3, 4]


def test_what_is_shared_stays_unless_asked_for() -> None:
    found = generations(3)
    shared = {"ami-u0000001": 2}
    assert doomed(found, Rules(generations=1), shared) == [2]
    assert doomed(found, Rules(generations=1, shared=True), shared) == [1, 2]


def test_what_is_still_being_made_stays_and_what_failed_goes() -> None:
    assert doomed(generations(3, state="pending"), Rules(generations=1)) == []
    assert doomed(generations(3, state="failed"), Rules(generations=1)) == [1, 2]


def test_each_configuration_keeps_its_own_newest() -> None:
    images = [image(number, configuration=name) for name in ("web", "database") for number in (1, 2)]
    found = gather({A: (images, [])})
    gone, _ = choose_generations(found, {}, Rules(generations=1), NOW)
    assert sorted((one.configuration, one.number) for one in gone) == [("database", 1), ("web", 1)]


def test_every_reason_is_told() -> None:
    use = Use("ami-u0000003", "instance", "i-1 (stopped)")
    found = generations(3, uses={3: use})
    rules = Rules(generations=1, pinned={"ami-e0000003": "main.tf"}, names=frozenset({"web@3"}))
    _, kept = choose_generations(found, {}, rules, NOW)
    assert kept[0].reasons == ("the newest", f"{A}: used by 1 instance", "named in main.tf", "--keep")


SNAPSHOT = SnapshotRecord(
    id="snap-1",
    state="completed",
    state_message="",
    volume_gib=1,
    started=NOW - 2 * DAY,
    encrypted=False,
    kms_key=None,
    tags={"invar:configuration": "web", "invar:blocks": "b"},
)
RECORD = {**SNAPSHOT.tags, "invar:record": f"{1:064d}"}


@pytest.mark.parametrize(
    ("snapshot", "goes"),
    [
        (replace(SNAPSHOT, id="snap-of-nothing"), True),
        (replace(SNAPSHOT, id="snap-of-nothing", state="pending"), True),
        (replace(SNAPSHOT, id="snap-of-nothing", state="error"), True),
        (SNAPSHOT, False),
        (replace(SNAPSHOT, id="snap-young", started=NOW - DAY / 2), False),
        (replace(SNAPSHOT, id="snap-foreign", tags={"invar:configuration": "web"}), False),
        (replace(SNAPSHOT, id="snap-other", tags={**SNAPSHOT.tags, "invar:configuration": "database"}), False),
        (replace(SNAPSHOT, id="snap-record", tags=RECORD), False),
        (replace(SNAPSHOT, id="snap-old-record", tags={**RECORD, "invar:record": "0"}), True),
        (replace(SNAPSHOT, id="snap-kept"), False),
        (replace(SNAPSHOT, id="snap-pinned"), False),
    ],
)
def test_orphans(snapshot: SnapshotRecord, goes: bool) -> None:
    rules = Rules(names=frozenset({"snap-kept"}), pinned={"snap-pinned": "main.tf"})
    found = choose_orphans(A, [snapshot], [image(1)], ["web"], rules, NOW)
    assert [one.snapshot.id for one in found] == ([snapshot.id] if goes else [])
