"""EC2's operations on instances, with AWS's checks and refusals."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from invar.localcloud.clock import Clock
from invar.localcloud.ebs import Caller
from invar.localcloud.ec2_snapshots import merged_tags
from invar.localcloud.errors import CloudError
from invar.localcloud.filters import matches, page
from invar.localcloud.instance_types import find_type
from invar.localcloud.instance_view import (
    KNOWN_FILTERS,
    STATUS_FILTERS,
    instance_facts,
    shown_instance,
    shown_state,
    shown_status,
    status_facts,
    time_of,
)
from invar.localcloud.instances import Instance, InstanceStore, State
from invar.localcloud.launch_plan import check_counts, checked_user_data, decode_user_data, lay_over
from invar.localcloud.launch_templates import LaunchTemplates
from invar.localcloud.launcher import Launcher, Order
from invar.localcloud.lifecycle import Lifecycle
from invar.localcloud.network import Network

CONSOLE_BYTES = 64 * 1024
Parameters = Mapping[str, Any]


class Ec2Instances:
    """The operations. Parameters and results have botocore's names and types."""

    def __init__(
        self,
        instances: InstanceStore,
        launcher: Launcher,
        lifecycle: Lifecycle,
        templates: LaunchTemplates,
        network: Network,
        clock: Clock,
    ) -> None:
        self._instances = instances
        self._launcher = launcher
        self._lifecycle = lifecycle
        self._templates = templates
        self._network = network
        self._clock = clock
        self.tokens: dict[tuple[str, str], tuple[str, list[str]]] = {}

    def run_instances(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """RunInstances."""
        least, most = check_counts(parameters)
        token = parameters.get("ClientToken") or ""
        request = json.dumps(dict(parameters), sort_keys=True, default=str)
        known = self.tokens.get((caller.region, token)) if token else None
        if known is not None:
            if known[0] != request:
                raise CloudError(
                    "IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
                )
            found = [self._instances.find(caller.region, identity) for identity in known[1]]
            return self._reservation([one for one in found if one is not None])
        template = None
        merged = dict(parameters)
        if named := parameters.get("LaunchTemplate"):
            source = self._templates.require(caller.region, named)
            version = self._templates.version(source, named.get("Version"))
            template = (source.id, source.name, str(version.number))
            merged = lay_over(version.data, parameters)
        plan = self._launcher.check(caller, merged)
        made = self._launcher.launch(caller, plan, Order(least, most, template, token=token))
        if token:
            self.tokens[caller.region, token] = (request, [one.id for one in made])
        return self._reservation(made)

    def describe_instances(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeInstances."""
        filters = parameters.get("Filters") or []
        wanted = parameters.get("InstanceIds") or []
        if wanted and "MaxResults" in parameters:
            raise CloudError(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        found = self._named(caller, wanted) if wanted else self._instances.of_region(caller.region)
        if filters:
            found = [one for one in found if matches(instance_facts(one), filters, KNOWN_FILTERS)]
        shown, token = page(found, parameters, 5, 1000)
        reservations: dict[str, list[Instance]] = {}
        for one in shown:
            reservations.setdefault(one.reservation, []).append(one)
        result: dict[str, Any] = {"Reservations": [self._reservation(group) for group in reservations.values()]}
        return result | ({"NextToken": token} if token else {})

    def describe_instance_status(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeInstanceStatus: of running instances, unless all are asked for."""
        wanted = parameters.get("InstanceIds") or []
        now = self._clock.now()
        found = self._named(caller, wanted) if wanted else self._instances.of_region(caller.region)
        if not parameters.get("IncludeAllInstances"):
            found = [one for one in found if one.state == "running"]
        filters = parameters.get("Filters") or []
        found = [one for one in found if matches(status_facts(one, now), filters, STATUS_FILTERS)]
        shown, token = page(found, parameters, 5, 1000)
        result: dict[str, Any] = {"InstanceStatuses": [shown_status(one, now) for one in shown]}
        return result | ({"NextToken": token} if token else {})

    def terminate_instances(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """TerminateInstances: all or, where one is protected, none."""
        found = self._named(caller, parameters.get("InstanceIds") or [])
        for one in found:
            if one.protected and one.alive:
                raise CloudError(
                    "OperationNotPermitted",
                    f"The instance '{one.id}' may not be terminated. Modify its 'disableApiTermination' instance "
                    "attribute and try again.",
                )
        return {"TerminatingInstances": self._changed(found, self._lifecycle.terminate)}

    def stop_instances(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """StopInstances."""
        found = self._named(caller, parameters.get("InstanceIds") or [])
        self._require_states(found, ("running", "stopping", "stopped"), "stopped")
        return {
            "StoppingInstances": self._changed(
                found, lambda one: self._lifecycle.stop(one) if one.state == "running" else None
            )
        }

    def start_instances(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """StartInstances."""
        found = self._named(caller, parameters.get("InstanceIds") or [])
        self._require_states(found, ("stopped", "running", "pending"), "started")
        return {
            "StartingInstances": self._changed(
                found, lambda one: self._lifecycle.start(one) if one.state == "stopped" else None
            )
        }

    def reboot_instances(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """RebootInstances."""
        found = self._named(caller, parameters.get("InstanceIds") or [])
        self._require_states(found, ("running",), "rebooted")
        for one in found:
            self._lifecycle.reboot(one)
        return {}

    def get_console_output(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """GetConsoleOutput: the last 64 KiB, in base64."""
        instance = self.require(caller, parameters["InstanceId"])
        data = self._lifecycle.console(instance)[-CONSOLE_BYTES:]
        return {
            "InstanceId": instance.id,
            "Timestamp": time_of(self._clock.now()),
            "Output": base64.b64encode(data).decode(),
        }

    def describe_instance_attribute(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeInstanceAttribute."""
        instance = self.require(caller, parameters["InstanceId"])
        user_data = instance.user_data
        values: dict[str, tuple[str, Any]] = {
            "instanceType": ("InstanceType", {"Value": instance.type}),
            "userData": ("UserData", {"Value": base64.b64encode(user_data).decode()} if user_data else {}),
            "disableApiTermination": ("DisableApiTermination", {"Value": instance.protected}),
            "disableApiStop": ("DisableApiStop", {"Value": False}),
            "ebsOptimized": ("EbsOptimized", {"Value": False}),
            "enaSupport": ("EnaSupport", {"Value": True}),
            "sourceDestCheck": ("SourceDestCheck", {"Value": instance.source_check}),
            "rootDeviceName": ("RootDeviceName", {"Value": instance.root_device}),
            "instanceInitiatedShutdownBehavior": (
                "InstanceInitiatedShutdownBehavior",
                {"Value": instance.shutdown_behaviour},
            ),
            "groupSet": ("Groups", [{"GroupId": g, "GroupName": n} for g, n in instance.security_groups]),
            "blockDeviceMapping": ("BlockDeviceMappings", shown_instance(instance)["BlockDeviceMappings"]),
        }
        if parameters["Attribute"] not in values:
            raise CloudError("InvalidRequest", f"The attribute {parameters['Attribute']} is not known here.")
        name, value = values[parameters["Attribute"]]
        return {"InstanceId": instance.id, name: value}

    def modify_instance_attribute(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """ModifyInstanceAttribute: type and user data of stopped instances; groups and protection of any."""
        instance = self.require(caller, parameters["InstanceId"])
        values = {name: parameters[name].get("Value") for name in _ATTRIBUTES if isinstance(parameters.get(name), dict)}
        if parameters.get("Attribute"):
            name = parameters["Attribute"][:1].upper() + parameters["Attribute"][1:]
            values[name] = parameters.get("Value")
        if ("InstanceType" in values or "UserData" in values) and instance.state != "stopped":
            raise CloudError("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")
        if "InstanceType" in values:
            instance.type = find_type(str(values["InstanceType"])).name
        if "UserData" in values:
            text = values["UserData"]
            # A blob by the API's shape, whose base64 is the protocol's; a text where another client sent one.
            instance.user_data = checked_user_data(text) if isinstance(text, bytes) else decode_user_data(text)
        if "DisableApiTermination" in values:
            instance.protected = str(values["DisableApiTermination"]).lower() == "true"
        if "SourceDestCheck" in values:
            instance.source_check = str(values["SourceDestCheck"]).lower() == "true"
        if "InstanceInitiatedShutdownBehavior" in values:
            instance.shutdown_behaviour = str(values["InstanceInitiatedShutdownBehavior"])
        if parameters.get("Groups"):
            instance.security_groups = self._network.security_groups(
                caller.region, instance.vpc, parameters["Groups"], ()
            )
        return {}

    def modify_instance_metadata_options(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """ModifyInstanceMetadataOptions: kept and shown; a running machine goes on with what it was started with."""
        instance = self.require(caller, parameters["InstanceId"])
        for name in instance.metadata_options:
            if name in parameters:
                instance.metadata_options[name] = parameters[name]
        return {"InstanceId": instance.id, "InstanceMetadataOptions": dict(instance.metadata_options)}

    def get_launch_template_data(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """GetLaunchTemplateData: what would launch another instance like this one."""
        instance = self.require(caller, parameters["InstanceId"])
        data: dict[str, Any] = {
            "ImageId": instance.image,
            "InstanceType": instance.type,
            "SecurityGroupIds": [identity for identity, _ in instance.security_groups],
            "Monitoring": {"Enabled": instance.monitoring},
            "DisableApiTermination": instance.protected,
        }
        if instance.key:
            data["KeyName"] = instance.key
        if instance.user_data:
            data["UserData"] = base64.b64encode(instance.user_data).decode()
        return {"LaunchTemplateData": data}

    def attach_volume(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """AttachVolume: kept and shown; no machine gets the device."""
        instance = self.require(caller, parameters["InstanceId"])
        device, volume = parameters["Device"], parameters["VolumeId"]
        if device in instance.volumes:
            raise CloudError(
                "InvalidParameterValue",
                f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
            )
        instance.volumes[device] = volume
        return {
            "InstanceId": instance.id,
            "VolumeId": volume,
            "Device": device,
            "State": "attached",
            "AttachTime": time_of(self._clock.now()),
            "DeleteOnTermination": False,
        }

    def detach_volume(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DetachVolume."""
        volume = parameters["VolumeId"]
        for instance in self._instances.of_region(caller.region):
            for device, attached in list(instance.volumes.items()):
                if attached == volume:
                    if device == instance.root_device and instance.state != "stopped":
                        raise CloudError(
                            "OperationNotPermitted", f"Unable to detach root volume '{volume}' from instance"
                        )
                    del instance.volumes[device]
                    return {"InstanceId": instance.id, "VolumeId": volume, "Device": device, "State": "detaching"}
        raise CloudError("IncorrectState", f"Volume '{volume}' is in the 'available' state.")

    def require(self, caller: Caller, identity: str) -> Instance:
        """The instance, or the error for a malformed or unknown id."""
        return self._named(caller, [identity])[0]

    def change_tags(self, caller: Caller, identity: str, changed: dict[str, str | None]) -> None:
        """Set tags, or with None delete them."""
        instance = self.require(caller, identity)
        own = {key: value for key, value in instance.tags.items() if key.startswith("aws:")}
        rest = {key: value for key, value in instance.tags.items() if key not in own}
        instance.tags = own | merged_tags(rest, changed)

    def tagged(self, caller: Caller) -> list[tuple[str, dict[str, str]]]:
        """Every instance's id and tags."""
        return [(one.id, one.tags) for one in self._instances.of_region(caller.region)]

    def _named(self, caller: Caller, ids: Iterable[str]) -> list[Instance]:
        found, missing = [], []
        for identity in dict.fromkeys(ids):
            if not re.fullmatch(r"i-[0-9a-f]{8,17}", identity):
                raise CloudError("InvalidInstanceID.Malformed", f'Invalid id: "{identity}"')
            instance = self._instances.find(caller.region, identity)
            if instance is None:
                missing.append(identity)
            else:
                found.append(instance)
        if missing:
            what = f"ID '{missing[0]}' does" if len(missing) == 1 else f"IDs '{', '.join(missing)}' do"
            raise CloudError("InvalidInstanceID.NotFound", f"The instance {what} not exist")
        return found

    def _require_states(self, found: list[Instance], states: tuple[State, ...], done: str) -> None:
        for one in found:
            if one.state not in states:
                raise CloudError(
                    "IncorrectInstanceState",
                    f"The instance '{one.id}' is not in a state from which it can be {done}.",
                )

    def _changed(self, found: list[Instance], change: Callable[[Instance], object]) -> list[dict[str, Any]]:
        changes = []
        for one in found:
            before = shown_state(one.state)
            change(one)
            changes.append({"InstanceId": one.id, "CurrentState": shown_state(one.state), "PreviousState": before})
        return changes

    @staticmethod
    def _reservation(instances: list[Instance]) -> dict[str, Any]:
        first = instances[0]
        return {
            "ReservationId": first.reservation,
            "OwnerId": first.account,
            "Groups": [],
            "Instances": [shown_instance(one) for one in instances],
        }


_ATTRIBUTES = (
    "InstanceType", "UserData", "DisableApiTermination", "SourceDestCheck", "InstanceInitiatedShutdownBehavior",
)  # fmt: skip
