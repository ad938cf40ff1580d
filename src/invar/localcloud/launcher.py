"""Makes instances: from a checked request to records that live, for RunInstances and for Auto Scaling groups alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invar.localcloud.addresses import free_address
from invar.localcloud.behaviour import BehaviourBook
from invar.localcloud.clock import Clock
from invar.localcloud.ebs import Caller
from invar.localcloud.ec2_images import Ec2Images
from invar.localcloud.ec2_snapshots import merged_tags
from invar.localcloud.errors import CloudError
from invar.localcloud.images import Image
from invar.localcloud.instances import Instance, InstanceStore, Kind, new_instance_id
from invar.localcloud.launch_plan import LaunchPlan, plan_launch
from invar.localcloud.launch_templates import LaunchTemplates
from invar.localcloud.lifecycle import Lifecycle
from invar.localcloud.network import Network
from invar.localcloud.settings import Settings
from invar.localcloud.snapshots import new_id
from invar.system.proof import DEFAULT_PORT
from invar.vm.qemu import Identity

ALWAYS_FORWARDED = (22, 80, DEFAULT_PORT)


@dataclass(frozen=True, slots=True)
class Order:
    """How many instances of a plan, and for whom. `template` is (id, name, version)."""

    least: int
    most: int
    template: tuple[str, str, str] | None = None
    group: str | None = None
    token: str = ""
    extra_ports: tuple[int, ...] = ()
    extra_tags: Mapping[str, str] | None = None


class Launcher:
    """Launches instances of all regions. `reserved` maps load balancers to addresses that no instance gets."""

    def __init__(
        self,
        instances: InstanceStore,
        images: Ec2Images,
        templates: LaunchTemplates,
        network: Network,
        lifecycle: Lifecycle,
        behaviours: BehaviourBook,
        clock: Clock,
    ) -> None:
        self._instances = instances
        self._images = images
        self._templates = templates
        self._network = network
        self._lifecycle = lifecycle
        self._behaviours = behaviours
        self._clock = clock
        self.reserved: Mapping[str, str] = {}
        self.settings = Settings()

    def check(self, caller: Caller, parameters: Mapping[str, Any]) -> LaunchPlan:
        """Check a request with its template's data in it, also against what there is. Raises CloudError."""
        plan = plan_launch(parameters)
        self._image(caller, plan)
        if plan.key is not None:
            self._network.public_key(caller.region, plan.key)
        return plan

    def launch(self, caller: Caller, plan: LaunchPlan, order: Order) -> list[Instance]:
        """Launch between `least` and `most` instances, as many as the region's limit allows. Raises CloudError."""
        image = self._image(caller, plan)
        if plan.type.architecture != image.architecture:
            raise CloudError(
                "InvalidParameterValue",
                f"The architecture '{plan.type.architecture}' of the specified instance type does not match the "
                f"architecture '{image.architecture}' of the specified AMI.",
            )
        subnet = (
            self._network.subnet(caller.region, plan.subnet)
            if plan.subnet
            else self._network.default_subnet(caller.region, plan.zone)
        )
        if plan.zone not in (None, subnet.zone):
            raise CloudError("InvalidParameterValue", f"The subnet {subnet.id} is not in zone {plan.zone}.")
        groups = self._network.security_groups(caller.region, subnet.vpc, plan.security_groups, plan.group_names)
        living = [one for one in self._instances.of_region(caller.region) if one.alive]
        room = int(self.settings.instance_limit) - len(living)
        if room < order.least:
            raise CloudError(
                "InstanceLimitExceeded",
                f"You have requested more instances ({len(living) + order.least}) than your current instance limit of "
                f"{int(self.settings.instance_limit)} allows for the specified instance type.",
            )
        facts = {
            "region": caller.region,
            "zone": subnet.zone,
            "image": image.id,
            "type": plan.type.name,
            "group": order.group,
            "version": order.template[2] if order.template else None,
            "spot": plan.spot,
        }
        ports = {*ALWAYS_FORWARDED, *plan.ports, *order.extra_ports, *self._network.open_ports(caller.region, groups)}
        root = next(one for one in image.mappings if one["DeviceName"] == image.root_device)["Ebs"]
        reservation = new_id("r")
        used = {one.address for one in self._instances.everything() if one.state != "terminated"}
        used |= set(self.reserved.values())
        made: list[Instance] = []
        for index in range(min(order.most, room)):
            rule = self._behaviours.strike(facts)
            if rule is not None and rule.code is not None:
                if len(made) >= order.least:
                    break
                for one in made:
                    self._lifecycle.terminate(one)
                raise CloudError(rule.code, rule.message, status=500 if rule.code.startswith("Insuff") else 400)
            identity = new_instance_id()
            address = free_address(subnet.cidr, used, plan.address)
            used.add(address)
            kind: Kind = "simulated" if (plan.kind or self.settings.instance_kind) == "simulated" else "machine"
            instance = Instance(
                id=identity,
                region=caller.region,
                account=caller.account,
                reservation=reservation,
                index=index,
                kind=kind,
                image=image.id,
                architecture=image.architecture,
                root_device=image.root_device,
                snapshot=root.get("SnapshotId"),
                disk_gib=max(plan.disk_gib or 0, int(root.get("VolumeSize", 1))),
                type=plan.type.name,
                zone=subnet.zone,
                subnet=subnet.id,
                vpc=subnet.vpc,
                address=address,
                security_groups=groups,
                ports=tuple(sorted(ports)),
                key=plan.key,
                user_data=plan.user_data,
                profile=plan.profile,
                tags=merged_tags(plan.tags, dict(order.extra_tags or {})) | _own_tags(order),
                launched=self._clock.now(),
                token=order.token,
                spot=plan.spot,
                template=order.template,
                group=order.group,
                behaviour=plan.behaviour if rule is None else rule.behaviour,
                image_tags=dict(image.tags),
                metadata_options=dict(plan.metadata_options),
                protected=plan.protected,
                monitoring=plan.monitoring,
                shutdown_behaviour=plan.shutdown_behaviour,
                volumes={image.root_device: Identity.of_instance(identity).volume_id},
            )
            self._lifecycle.start(instance)
            self._instances.add(instance)
            made.append(instance)
        return made

    def _image(self, caller: Caller, plan: LaunchPlan) -> Image:
        identity = self._templates.resolve_image(caller.region, plan.image)
        image = self._images.require(caller, identity)
        state = image.state(self._clock.now())
        if state != "available":
            raise CloudError("InvalidAMIID.Unavailable", f"The image ID '{image.id}' is not available: it is {state}")
        return image


def _own_tags(order: Order) -> dict[str, str]:
    tags: dict[str, str] = {}
    if order.template is not None:
        tags |= {"aws:ec2launchtemplate:id": order.template[0], "aws:ec2launchtemplate:version": order.template[2]}
    if order.group is not None:
        tags["aws:autoscaling:groupName"] = order.group
    return tags
