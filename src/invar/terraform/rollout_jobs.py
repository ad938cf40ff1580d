"""What `invar_rollout` has done in a process of its own: rollouts driven to rest, and what the ledger tells of them."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable
from typing import Any

from invar.aws.client import Cloud
from invar.aws.refreshes import newest_refresh
from invar.core.errors import InvarError
from invar.fleet.given import Given, begin_given, goes_to, ledger_of, settled
from invar.fleet.ledger import Entry, Ledger, Standing
from invar.fleet.rollout import Pace, Result, drive, pause
from invar.fleet.spec import Policy
from invar.terraform.jobs import Bench


def roll(
    bench: Bench,
    group: str,
    ledger_region: str,
    order: list[str],
    targets: dict[str, dict[str, str]],
    digest: str | None,
    policy: dict[str, Any],
    checks: bool,
    within: int,
    poll: float,
) -> dict[str, Any]:
    """Move the groups, wait, verify. Raises InvarError when it failed, once what ran before runs again.

    Interrupted, it pauses what is under way, and says so as the KeyboardInterrupt's text.
    """
    cloud = bench.cloud
    rules: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in policy.items()}
    policies = Policy(regions=tuple(order), automatic_rollback=True, window=None, **rules)
    versions = {region: (one["id"], one["version"]) for region, one in targets.items()}
    given = Given(group, versions, tuple(order), policies, checks, within)
    who = f"{cloud.identity(ledger_region)} (terraform, {getpass.getuser()}@{socket.gethostname()})"
    ledger = ledger_of(cloud, ledger_region, group)
    try:
        _wait_for_cancelled(cloud, ledger, group, poll)
        while (number := begin_given(cloud, ledger, given, who, time.time(), digest)) is not None:
            with bench.report.stage(f"{group} generation {number}"):
                result = drive(cloud, group, ledger, number, who, bench.report, pace=Pace(poll=poll), tag=False)
            if not result.good and not (_restored(result.standing) and not goes_to(result.standing.entry, given)):
                raise _failure(group, result)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_leave(cloud, group, ledger, who)) from None
    found = rolled(bench, group, ledger_region)
    if found is None:
        raise InvarError(f"the group {group} is gone", where=ledger_region)
    return found


def rolled(bench: Bench, group: str, ledger_region: str) -> dict[str, Any] | None:
    """The computed attributes by the ledger; None when no generation was ever done, or no group is left."""
    cloud = bench.cloud
    history = ledger_of(cloud, ledger_region, group).history()
    at_rest = settled(cloud, group, history)
    if history.current is None or at_rest is None:
        return None
    return {**_state(history.current.entry), "settled": at_rest}


def _state(entry: Entry) -> dict[str, Any]:
    return {
        "generation": entry.number,
        "proven_digest": entry.system_digest,
        "launch_templates": {
            region: {"id": one.template, "version": one.version} for region, one in entry.deployments.items()
        },
    }


def _wait_for_cancelled(cloud: Cloud, ledger: Ledger, group: str, poll: float) -> None:
    """A refresh that somebody cancelled during a pause takes a while to be so."""
    newest = ledger.history().newest
    if newest is None or not newest.paused:
        return
    for region in newest.entry.deployments:
        while (refresh := newest_refresh(cloud, region, group)) is not None and refresh.ending:
            time.sleep(poll)


def _leave(cloud: Cloud, group: str, ledger: Ledger, who: str) -> str:
    """Pause what goes forward, for nobody judges new instances any more. How it was left."""
    try:
        newest = ledger.history().newest
        if newest is None or not newest.open:
            return f"Nothing is under way in {group}; apply again."
        named = f"Generation {newest.entry.number} of {group}"
        if newest.failed is not None:
            return f"{named} is going back; apply again to see it through."
        pause(cloud, group, ledger, newest, who, time.time())
    except InvarError as error:
        return f"What is under way in {group} was not paused: {error}\nApply again to take it over."
    return f"{named} is paused: EC2 replaces nothing more. Apply again to go on; apply other versions and it goes back."


def _restored(standing: Standing) -> bool:
    return standing.outcome is not None and standing.outcome.state == "restored"


def _failure(group: str, result: Result) -> InvarError:
    standing = result.standing
    number = standing.entry.number
    if standing.paused:
        return InvarError(f"generation {number} of {group} was paused meanwhile", hint="apply again to go on")
    failed = standing.failed
    place = " ".join(filter(None, (failed.region, failed.instance))) if failed else ""
    lines = [failed.why] if failed and failed.why else []
    if result.evidence is not None and result.evidence.console:
        lines += [f"the console of {result.evidence.instance} ends with", result.evidence.console]
    outcome = "nothing ran before that it could go back to"
    if _restored(standing):
        outcome = "what ran before runs again everywhere"
    return InvarError(
        f"generation {number} of {group} failed, and {outcome}",
        where=place or None,
        why="\n".join(lines) or None,
        hint="mend the image, or the launch template, and apply again",
    )


ROLLOUT_JOBS: dict[str, Callable[..., Any]] = {"roll": roll, "rolled": rolled}
