"""What the server asks of a resource and of a data source. A new one is a new file with such a class."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from invar.core.home import Home
from invar.terraform.diagnostics import Diagnostic
from invar.terraform.schema import Schema

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What the provider block says, and what all work of one Terraform run shares.

    `stopped` is set when Terraform is interrupted. `account` has `profile` and `endpoint_url`, each None for what the
    environment says. `mirrors` come before those of the environment.
    """

    home: Home
    environment: Mapping[str, str]
    stopped: threading.Event
    account: Mapping[str, str | None]
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What came of a plan or an apply: the new values and what is to be told. `replace` names attributes."""

    values: Values | None
    diagnostics: tuple[Diagnostic, ...] = ()
    replace: tuple[str, ...] = ()


class DataSource(Protocol):
    """Reads. Methods raise InvarError, or Refused with diagnostics."""

    schema: Schema

    def validate(self, config: Values) -> tuple[Diagnostic, ...]:
        """Check what is known without asking anyone; values may be UNKNOWN."""
        ...

    def read(self, context: Context, config: Values) -> Change:
        """The whole object for a wholly known configuration."""
        ...


class Resource(Protocol):
    """Keeps one thing as declared. Methods raise InvarError, or Refused with diagnostics."""

    schema: Schema

    def validate(self, config: Values) -> tuple[Diagnostic, ...]:
        """Check what is known without asking anyone; values may be UNKNOWN."""
        ...

    def read(self, context: Context, state: Values) -> Change:
        """What there is now; values None when it is gone."""
        ...

    def plan(self, context: Context, prior: Values | None, proposed: Values) -> Change:
        """What apply would make. `proposed` has the user's values, defaults, and what was computed before."""
        ...

    def apply(self, context: Context, prior: Values | None, planned: Values) -> Change:
        """Do it. Values of the result agree with every known one of `planned`; with an error diagnostic, they say what
        there is all the same."""
        ...

    def delete(self, context: Context, prior: Values) -> tuple[Diagnostic, ...]:
        """Remove it, or let it be, as declared."""
        ...

    def found(self, context: Context, identity: str) -> Values:
        """The state of something made before, for `terraform import`."""
        ...
