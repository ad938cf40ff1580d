"""What the verbs about fleets share: the fleet.nix that they read, and the account, ledger and operator."""

from __future__ import annotations

import functools
import getpass
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.cli.account import REGION, account, account_options
from invar.cli.context import Session, json_option, session_of, told
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.aws.client import Cloud
    from invar.core.events import Report
    from invar.fleet.given import Moved
    from invar.fleet.ledger import Ledger, Standing
    from invar.fleet.spec import FleetSpec


@dataclass(frozen=True, slots=True)
class Fleets:
    """The fleets that a verb is about, and who asks; or groups that Terraform moves, in their place."""

    cloud: Cloud
    specs: list[FleetSpec]
    moved: list[Moved]
    who: str
    report: Report

    def ledger(self, spec: FleetSpec) -> Ledger:
        """A fleet's ledger."""
        from invar.fleet.ledger import Ledger

        return Ledger(self.cloud, spec.home, spec.name)


@dataclass(frozen=True, slots=True)
class FleetVerb:
    """One call of a verb about fleets: the options that all of them have."""

    context: click.Context
    place: Path
    names: tuple[str, ...]
    profile: str | None
    endpoint_url: str | None
    local: bool
    as_json: bool
    groups: tuple[str, ...] = ()

    @contextmanager
    def fleets(self) -> Iterator[Fleets]:
        """Read the fleet.nix, unless Terraform's groups are named, and reach the account. Raises InvarError."""
        session = session_of(self.context)
        if self.groups and self.names:
            raise InvarError("--terraform and --fleet name different things", exit_code=ExitCode.USAGE)
        with session.reporting() as report:
            specs = [] if self.groups else self._specs(session, report)
            cloud = account(session, self.profile, self.endpoint_url, self.local)
            cloud.require_credentials()
            moved = [moved_group(text, cloud.region) for text in self.groups]
            home = specs[0].home if specs else moved[0].region
            yield Fleets(cloud, specs, moved, operator(cloud, home), report)

    def _specs(self, session: Session, report: Report) -> list[FleetSpec]:
        from invar.fleet.declaration import chosen, load_fleets

        engine = session.engine(report)

        def name_of(path: Path) -> str:
            return engine.evaluate(engine.project(path)).system.name

        cache = session.home.code
        found = load_fleets(self.place, name_of, report, cache_dir=cache, show_trace=session.show_trace)
        return chosen(found, self.names)


def fleet_verb(*, terraform: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`--file`, `--fleet`, the account's options and `--json`: the function gets them as one `FleetVerb`.

    `terraform`: it is also about groups that Terraform moves (`--terraform`). What else the function has comes between.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def verb(
            context: click.Context,
            place: Path,
            names: tuple[str, ...],
            profile: str | None,
            endpoint_url: str | None,
            local: bool,
            as_json: bool,
            groups: tuple[str, ...] = (),
            **own: Any,
        ) -> None:
            function(FleetVerb(context, place, names, profile, endpoint_url, local, as_json, groups), **own)

        parameters = list(getattr(function, "__click_params__", ()))
        verb.__click_params__ = []  # type: ignore[attr-defined]
        json_option(verb)
        verb.__click_params__ += parameters  # type: ignore[attr-defined]
        account_options(verb)
        if terraform:
            _terraform(verb)
        _fleet(verb)
        _file(verb)
        return click.pass_context(told(verb))

    return decorate


_file = click.option(
    "--file",
    "-f",
    "place",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The fleet.nix, or the directory that has it. [.]",
)
_fleet = click.option("--fleet", "names", multiple=True, metavar="NAME", help="Only this fleet; several times. [all]")
_terraform = click.option(
    "--terraform",
    "groups",
    multiple=True,
    metavar="GROUP[:REGION]",
    help="A group that Terraform's invar_rollout moves, by the region of its ledger; no fleet.nix is read.",
)


def moved_group(text: str, region: str | None) -> Moved:
    """GROUP:REGION, or GROUP in the account's region. Raises InvarError."""
    from invar.fleet.given import Moved

    group, _, named = text.partition(":")
    where = named or region or ""
    if not group or not REGION.fullmatch(where):
        raise InvarError(
            f"{text!r} does not tell where the ledger is",
            hint="write GROUP:REGION, its ledger_region in Terraform; or set AWS_REGION",
            exit_code=ExitCode.USAGE,
        )
    return Moved(group, where)


def operator(cloud: Cloud, region: str) -> str:
    """Who acts, for the ledger: the AWS identity, and the user and machine that it acts from."""
    return f"{cloud.identity(region)} ({getpass.getuser()}@{socket.gethostname()})"


def standing_data(name: str, standing: Standing) -> dict[str, Any]:
    """A generation as `--json` tells it."""
    from invar.system.record import plain

    return {"fleet": name, "state": standing.word, **plain(standing)}
