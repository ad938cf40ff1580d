"""`invar status`, `history` and `audit`: what a fleet runs, ran, and proves."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from invar.cli.context import print_json
from invar.cli.fleet_options import FleetVerb, fleet_verb, standing_data
from invar.core.errors import ExitCode

if TYPE_CHECKING:
    from invar.fleet.audit import Audit
    from invar.fleet.ledger import Standing
    from invar.fleet.status import Status


@click.command()
@fleet_verb(terraform=True)
def status(verb: FleetVerb) -> None:
    """Show what runs in each region, and what is under way. Exit code 3 while something is.

    \b
    invar status
    invar status --fleet production-web --json
    invar status --terraform web:eu-west-1
    """
    from invar.fleet.status import status_of, status_of_moved

    found_all: list[Status] = []
    with verb.fleets() as found:
        for spec in found.specs:
            found_all.append(status_of(found.cloud, spec, found.ledger(spec)))
        found_all += [status_of_moved(found.cloud, one) for one in found.moved]
    if verb.as_json:
        print_json({"fleets": [one.to_data() for one in found_all]})
    else:
        for one in found_all:
            print_status(one)
    if any(one.newest is not None and one.newest.open for one in found_all):
        verb.context.exit(ExitCode.DIFFERS)


@click.command()
@fleet_verb(terraform=True)
def history(verb: FleetVerb) -> None:
    """List a fleet's generations, the newest first: what, when, who, from which commit, and what came of it.

    \b
    invar history --fleet production-web
    invar history --terraform web:eu-west-1
    """
    listed: list[tuple[str, Standing]] = []
    with verb.fleets() as found:
        for spec in found.specs:
            listed += [(spec.name, one) for one in reversed(found.ledger(spec).history().standings)]
        for moved in found.moved:
            listed += [(moved.name, one) for one in reversed(moved.history(found.cloud).standings)]
    if verb.as_json:
        print_json({"generations": [standing_data(name, one) for name, one in listed]})
        return
    for name, one in listed:
        print_standing(name, one)


@click.command()
@fleet_verb()
@click.option("--no-ask", is_flag=True, help="Ask no instance for its proof, nor EC2 for user data: fewer calls.")
@click.option("--all", "everything", is_flag=True, help="List every instance, not only those with findings.")
@click.option("--watch", type=click.IntRange(1), metavar="SECONDS", help="Audit again and again, until Ctrl-C.")
def audit(verb: FleetVerb, no_ask: bool, everything: bool, watch: int | None) -> None:
    """Check every instance in every region: AMI, snapshot, digest, commit, its own proof, and what was changed by hand.

    What was done on an instance by hand is told by its proof: processes that its system does not declare, sessions, and
    files declared immutable that were modified. An instance that gives no proof of today is unproven. Exit code 3 if
    anything is not as the ledger and the fleet.nix say, or unproven. With --watch the exit code is that of the last.

    \b
    invar audit
    invar audit --all --json
    invar audit --watch 300
    """
    from invar.fleet.audit import audit_fleet

    audits: list[Audit] = []
    with verb.fleets() as found:
        while True:
            audits = [
                audit_fleet(found.cloud, spec, found.ledger(spec), found.report, time.time, ask=not no_ask)
                for spec in found.specs
            ]
            if verb.as_json:
                print_json({"fleets": [one.to_data() for one in audits]})
            else:
                for one in audits:
                    print_audit(one, everything=everything)
            if watch is None:
                break
            try:
                time.sleep(watch)
            except KeyboardInterrupt:
                break  # how a watch ends: what was audited last still tells the exit code
    if not all(one.clean for one in audits):
        verb.context.exit(ExitCode.DIFFERS)


def print_status(status: Status) -> None:
    """The generation, and a line for each region."""
    current = "none" if status.current is None else str(status.current.entry.number)
    click.echo(f"{status.fleet}: generation {current}")
    if status.newest is not None and status.newest.open:
        entry = status.newest.entry
        click.echo(f"  generation {entry.number} ({entry.kind}) is {status.newest.word}, begun by {entry.who}")
    for one in status.regions:
        if one.error is not None:
            click.echo(f"  {one.region}: {one.error}")
            continue
        spread = ", ".join(f"{count} of {name}" for name, count in one.by_generation.items()) or "no instance"
        paused = status.newest is not None and status.newest.paused
        held = f" ({'paused' if paused else 'held'})" if one.held else ""
        refresh = f"; refresh {one.refresh.status} {one.refresh.percentage} %{held}" if one.refresh else ""
        click.echo(f"  {one.region}: {one.serving} of {one.desired} in service; {spread}{refresh}")


def print_standing(name: str, one: Standing) -> None:
    """A generation in a line, and in another why it did not do."""
    entry = one.entry
    when = datetime.fromtimestamp(entry.began, UTC)
    what = (
        f"back to {entry.repeats}" if entry.repeats is not None else f"{entry.configuration}@{entry.image_generation}"
    )
    commit = (entry.commit or "no commit")[:12] + ("+" if entry.dirty else "")
    click.echo(
        f"{name}  {entry.number:>4}  {entry.kind:<8}  {one.word:<10}  {when:%Y-%m-%d %H:%M}  {what}  "
        f"{entry.system_digest[:12]}  {commit}  {entry.who}"
    )
    if one.failed is not None:
        where = " ".join(filter(None, (one.failed.region, one.failed.instance)))
        click.echo(f"{'':{len(name)}}        {where}{': ' if where else ''}{one.failed.why}")


def print_audit(audit: Audit, *, everything: bool) -> None:
    """A line for each instance (with findings), each group, and the sum."""
    from invar.fleet.drift import age_text

    for one in audit.instances:
        if not one.findings and not everything:
            continue
        proven = "not asked"
        if audit.asked:
            ago = "" if one.proof_age is None else f", {age_text(one.proof_age)} ago"
            proven = f"proven {one.proven[:12]}{ago}" if one.proven else "no proof"
        line = (
            f"{one.region}  {one.instance}  {one.state}  generation {one.generation or '?'}  {one.image}  "
            f"{one.snapshot or '?'}  {(one.system_digest or '?')[:12]}  {(one.commit or '?')[:12]}  {proven}"
        )
        click.echo(line)
        for finding in one.findings:
            click.echo(f"    {finding.kind}: {finding.text}")
    for region, findings in audit.groups.items():
        for finding in findings:
            click.echo(f"{region}  {finding.kind}: {finding.text}")
    for region, error in audit.failed.items():
        click.echo(f"{region}  does not answer: {error.why or error.what}")
    click.echo(audit_sum(audit))


def audit_sum(audit: Audit) -> str:
    """An audit in a line."""
    from invar.fleet.drift import age_text

    drifting = sum(one.drift for one in audit.instances)
    if audit.proven is None:
        proven = "none asked what it runs"
    else:
        oldest = max((one.proof_age for one in audit.instances if one.proof_age is not None), default=None)
        proven = f"{audit.proven} proven" + ("" if oldest is None else f" (the oldest proof {age_text(oldest)} ago)")
        proven += f", {audit.unproven} unproven" if audit.unproven else ""
        partial = sum(one.partial for one in audit.instances)
        proven += f", {partial} of an earlier Invar that tell no processes and files" if partial else ""
    moving = ", a rollout is under way" if audit.moving else ""
    return (
        f"{audit.fleet}: generation {audit.generation or 'none'}, {len(audit.instances)} instances, {proven}, "
        f"{drifting} with drift{moving}"
    )
