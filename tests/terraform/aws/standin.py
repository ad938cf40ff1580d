"""A stand-in for the AWS provider: its schemas, served by our own protocol layer to the real terraform.

It proves how modules are wired (names, types, what is required), not what AWS makes of them. One resource is real:
`aws_instance` runs and terminates instances by EC2's API, at AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.core.home import Home
from invar.terraform.diagnostics import Diagnostic
from invar.terraform.dispatch import Provider
from invar.terraform.install import PLATFORMS
from invar.terraform.resource import Change, Context, Values
from invar.terraform.server import serve
from invar.terraform.values import UNKNOWN

DOCUMENT = json.loads((Path(__file__).parent / "schema.json").read_text())
DECLARED = DOCUMENT["provider_schemas"]["hashicorp/aws"]
HOST = "registry.terraform.io"
NESTING = {"single": 1, "list": 2, "set": 3}


@dataclass(frozen=True)
class BlockSchema:
    """A schema out of the JSON of `terraform providers schema`, with blocks."""

    block: dict[str, Any]
    version: int = 0

    def message(self) -> dict[str, Any]:
        return {"version": self.version, "block": _block_message(self.block)}

    def proposed(self, proposed: Values, config: Values) -> Values:
        return proposed

    def with_defaults(self, values: Values) -> Values:
        names = (*self.block.get("attributes", {}), *self.block.get("block_types", {}))
        return {name: values.get(name) for name in names}


@dataclass(frozen=True)
class Declared:
    """A resource that can be planned, never applied."""

    name: str
    schema: BlockSchema

    def validate(self, config: Values) -> tuple[Diagnostic, ...]:
        return ()

    def read(self, context: Context, state: Values) -> Change:
        return Change(state)

    def plan(self, context: Context, prior: Values | None, proposed: Values) -> Change:
        attributes = self.schema.block["attributes"]
        if prior is not None:
            return Change(proposed)
        unknown = {name for name, each in attributes.items() if each.get("computed") and proposed[name] is None}
        return Change({**proposed, **dict.fromkeys(unknown, UNKNOWN)})

    def apply(self, context: Context, prior: Values | None, planned: Values) -> Change:
        raise InvarError(f"the stand-in for the AWS provider makes no {self.name}")

    def delete(self, context: Context, prior: Values) -> tuple[Diagnostic, ...]:
        raise InvarError(f"the stand-in for the AWS provider destroys no {self.name}")

    def found(self, context: Context, identity: str) -> Values:
        raise InvarError(f"the stand-in for the AWS provider imports no {self.name}")


class Instance(Declared):
    """`aws_instance`, for real: RunInstances, TerminateInstances."""

    def read(self, context: Context, state: Values) -> Change:
        found = _ec2().describe_instances(Filters=[{"Name": "instance-id", "Values": [state["id"]]}])["Reservations"]
        if not found or found[0]["Instances"][0]["State"]["Name"] == "terminated":
            return Change(None)
        return Change({**state, "instance_state": found[0]["Instances"][0]["State"]["Name"]})

    def plan(self, context: Context, prior: Values | None, proposed: Values) -> Change:
        change = super().plan(context, prior, proposed)
        forcing = ["ami", *(["user_data"] if proposed["user_data_replace_on_change"] else [])]
        replace = tuple(name for name in forcing if prior is not None and prior[name] != proposed[name])
        return Change(change.values, replace=replace)

    def apply(self, context: Context, prior: Values | None, planned: Values) -> Change:
        assert prior is None, "changed in place"
        ec2 = _ec2()
        tags = [{"Key": key, "Value": value} for key, value in (planned["tags"] or {}).items()]
        made = ec2.run_instances(
            ImageId=planned["ami"],
            InstanceType=planned["instance_type"],
            MinCount=1,
            MaxCount=1,
            UserData=planned["user_data"] or "",
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}] if tags else [],
        )["Instances"][0]
        ec2.get_waiter("instance_running").wait(InstanceIds=[made["InstanceId"]])
        reservation = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]
        running = reservation["Instances"][0]
        known = {
            "id": running["InstanceId"],
            "arn": f"arn:aws:ec2:{ec2.meta.region_name}:{reservation['OwnerId']}:instance/{running['InstanceId']}",
            "private_ip": running["PrivateIpAddress"],
            "instance_state": running["State"]["Name"],
            "availability_zone": running["Placement"]["AvailabilityZone"],
            "subnet_id": running["SubnetId"],
            "region": ec2.meta.region_name,
        }
        asked = {name: known.get(name) if value is UNKNOWN else value for name, value in planned.items()}
        return Change(asked)

    def delete(self, context: Context, prior: Values) -> tuple[Diagnostic, ...]:
        ec2 = _ec2()
        ec2.terminate_instances(InstanceIds=[prior["id"]])
        ec2.get_waiter("instance_terminated").wait(InstanceIds=[prior["id"]])
        return ()


def _ec2() -> Any:
    import boto3

    return boto3.client("ec2", region_name=os.environ.get("AWS_REGION", "us-east-1"))


def _block_message(block: dict[str, Any]) -> dict[str, Any]:
    attributes = [
        {**each, "name": name, "type": json.dumps(each["type"]).encode()}
        for name, each in block.get("attributes", {}).items()
    ]
    nested = [
        {
            "type_name": name,
            "block": _block_message(each["block"]),
            "nesting": NESTING[each["nesting_mode"]],
            "min_items": each.get("min_items", 0),
            "max_items": each.get("max_items", 0),
        }
        for name, each in block.get("block_types", {}).items()
    ]
    return {"attributes": attributes, "block_types": nested}


def make_provider(stopped: threading.Event) -> Provider:
    resources = {
        name: (Instance if name == "aws_instance" else Declared)(name, BlockSchema(each["block"]))
        for name, each in DECLARED["resource_schemas"].items()
    }
    home = Home.from_environment()
    return Provider(
        schema=BlockSchema(DECLARED["provider"]["block"]),
        resources=resources,
        data_sources={},
        check=lambda config: (),
        configure=lambda config: Context(home, dict(os.environ), stopped, {}),
    )


def install(project: Path) -> None:
    """Into a project's terraform.d/plugins, where `terraform init` takes it for the provider that it stands in for."""
    version = DOCUMENT["version"]
    for platform in PLATFORMS:
        path = project / "terraform.d" / "plugins" / HOST / "hashicorp" / "aws" / version / platform
        path.mkdir(parents=True)
        launcher = path / f"terraform-provider-aws_v{version}"
        launcher.write_text(f"#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()}\n")
        launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)


if __name__ == "__main__":
    serve(Home.from_environment(), make_provider)
