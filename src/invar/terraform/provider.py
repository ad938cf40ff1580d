"""The provider `invar`: its block, its resources and its data sources."""

from __future__ import annotations

import os
import threading

from invar.core.home import Home
from invar.terraform.data_image import ImageData
from invar.terraform.data_system import SystemData
from invar.terraform.data_user_data import UserData
from invar.terraform.diagnostics import Diagnostic
from invar.terraform.dispatch import Provider
from invar.terraform.image import ImageResource
from invar.terraform.resource import Context, Values
from invar.terraform.rollout import RolloutResource
from invar.terraform.schema import STRING, STRINGS, Attribute, Schema
from invar.terraform.values import is_known

SCHEMA = Schema(
    "Builds images from configurations and publishes them as AMIs.",
    (
        Attribute("profile", STRING, "The AWS profile; default: what the environment says.", optional=True),
        Attribute("endpoint_url", STRING, "Another address of AWS; default: `AWS_ENDPOINT_URL`.", optional=True),
        Attribute(
            "mirrors", STRINGS, "Debian mirrors; default: `INVAR_MIRROR`, the lock's, the host's.", optional=True
        ),
    ),
)


def make_provider(home: Home, stopped: threading.Event) -> Provider:
    """The provider of one Terraform run. `stopped` is set when that run is interrupted."""

    def check(config: Values) -> tuple[Diagnostic, ...]:
        if not is_known(config):
            what = "The provider block has values that are known only after apply"
            return (Diagnostic(what, "Plans need the provider: give it values that are known before."),)
        return ()

    def configure(config: Values) -> Context:
        account = {"profile": config["profile"], "endpoint_url": config["endpoint_url"]}
        return Context(home, dict(os.environ), stopped, account, tuple(config["mirrors"] or ()))

    return Provider(
        schema=SCHEMA,
        resources={"invar_image": ImageResource(), "invar_rollout": RolloutResource()},
        data_sources={"invar_image": ImageData(), "invar_system": SystemData(), "invar_user_data": UserData()},
        check=check,
        configure=configure,
    )
