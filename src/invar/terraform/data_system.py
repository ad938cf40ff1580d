"""`data "invar_system"`: what a configuration evaluates to, without building it."""

from __future__ import annotations

from typing import Any

from invar.terraform.diagnostics import Diagnostic
from invar.terraform.resource import Change, Context, Values
from invar.terraform.schema import STRING, STRING_MAP, STRINGS, Attribute, Schema
from invar.terraform.work import Job, run

SCHEMA = Schema(
    "Evaluates a configuration: its digests, its packages, and options asked for.",
    (
        Attribute("configuration", STRING, "A directory with a `configuration.nix`, or a `.nix` file.", required=True),
        Attribute("options", STRINGS, "Option paths to evaluate, such as `services.nginx.enable`.", optional=True),
        Attribute("id", STRING, "The spec digest.", computed=True),
        Attribute("spec_digest", STRING, "SHA-256 of the evaluated system: the identity of the input.", computed=True),
        Attribute("lock_digest", STRING, "SHA-256 of the lock, null without one.", computed=True),
        Attribute("name", STRING, "The configuration's name, as its images carry it.", computed=True),
        Attribute("host_name", STRING, "`networking.hostName`; empty: from the instance's metadata.", computed=True),
        Attribute("architecture", STRING, "`amd64` or `arm64`.", computed=True),
        Attribute("packages", STRING_MAP, "Version of every package asked for; empty when not locked.", computed=True),
        Attribute("values", STRING_MAP, "The asked-for options as JSON: use `jsondecode`.", computed=True),
    ),
)  # fmt: skip


class SystemData:
    """Evaluates at plan."""

    schema = SCHEMA

    def validate(self, config: Values) -> tuple[Diagnostic, ...]:
        """Nothing can be wrong that evaluation does not tell better."""
        return ()

    def read(self, context: Context, config: Values) -> Change:
        """Evaluate."""
        arguments: dict[str, Any] = {"configuration": config["configuration"], "options": config["options"] or []}
        found = run(context, Job("evaluate", arguments, f"system {config['configuration']}", ("configuration",))).result
        return Change({**config, **found})
