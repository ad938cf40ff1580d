"""What the verbs about fleets share: the fleet.nix that they read, and the account, ledger and operator."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.cli.account import account, account_options
from invar.cli.context import Session

if TYPE_CHECKING:
    from invar.aws.client import Cloud
    from invar.core.events import Report
    from invar.fleet.ledger import Ledger, Standing
    from invar.fleet.spec import FleetSpec


@dataclass(frozen=True, slots=True)
class Fleets:
    """The fleets that a verb is about, and who asks."""

    cloud: Cloud
    specs: list[FleetSpec]
    who: str
    report: Report

    def ledger(self, spec: FleetSpec) -> Ledger:
        """A fleet's ledger."""
        from invar.fleet.ledger import Ledger

        return Ledger(self.cloud, spec.home, spec.name)


def fleet_options(function: click.decorators.FC) -> click.decorators.FC:
    """`--file`, `--fleet` and the account's options."""
    for option in (
        account_options,
        click.option("--fleet", "names", multiple=True, metavar="NAME", help="Only this fleet; several times. [all]"),
        click.option(
            "--file",
            "-f",
            "place",
            type=click.Path(path_type=Path),
            default=Path(),
            help="The fleet.nix, or the directory that has it. [.]",
        ),
    ):
        function = option(function)
    return function


@contextmanager
def fleets(
    session: Session,
    place: Path,
    names: tuple[str, ...],
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
) -> Iterator[Fleets]:
    """Read the fleet.nix and reach the account. Raises InvarError."""
    from invar.fleet.declaration import chosen, load_fleets

    with session.reporting() as report:
        engine = session.engine(report)

        def name_of(path: Path) -> str:
            return engine.evaluate(engine.project(path)).system.name

        specs = chosen(
            load_fleets(place, name_of, report, cache_dir=session.home.code, show_trace=session.show_trace), names
        )
        cloud = account(session, profile, endpoint_url, local)
        cloud.require_credentials()
        yield Fleets(cloud, specs, operator(cloud, specs[0].home), report)


def operator(cloud: Cloud, region: str) -> str:
    """Who acts, for the ledger: the AWS identity, and the user and machine that it acts from."""
    return f"{cloud.identity(region)} ({getpass.getuser()}@{socket.gethostname()})"


def standing_data(name: str, standing: Standing) -> dict[str, Any]:
    """A generation as `--json` tells it."""
    from invar.system.record import plain

    return {"fleet": name, "state": standing.word, **plain(standing)}
