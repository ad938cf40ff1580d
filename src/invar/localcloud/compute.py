"""EC2 instances and all that launches, groups and watches them: the parts put together, and their steps in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from invar.localcloud.alarms import alarming
from invar.localcloud.autoscaling_attachments import AttachmentApi
from invar.localcloud.autoscaling_engine import Engine
from invar.localcloud.autoscaling_groups import GroupApi
from invar.localcloud.autoscaling_members import MemberApi
from invar.localcloud.autoscaling_refresh_api import RefreshApi
from invar.localcloud.autoscaling_tags import TagApi
from invar.localcloud.behaviour import BehaviourBook
from invar.localcloud.clock import Clock, Timers
from invar.localcloud.ec2_images import Ec2Images
from invar.localcloud.ec2_instances import Ec2Instances
from invar.localcloud.instances import Instance, InstanceStore
from invar.localcloud.launch_templates import LaunchTemplates
from invar.localcloud.launcher import Launcher
from invar.localcloud.lifecycle import Lifecycle, Machines
from invar.localcloud.network import Network
from invar.localcloud.prober import Prober
from invar.localcloud.settings import Settings
from invar.localcloud.target_api import TargetApi
from invar.localcloud.target_registry import TargetRegistry

STEPS_AT_ONCE = 10_000
"""More looks than that at one moment mean that two parts wake each other without end."""


class Compute:
    """The parts. The caller keeps other threads out while it calls anything here."""

    def __init__(self, account: str, images: Ec2Images, clock: Clock, machines: Machines | None) -> None:
        self._clock = clock
        self.timers = Timers()
        self.instances = InstanceStore()
        self.behaviours = BehaviourBook()
        network = Network(account)
        self.templates = LaunchTemplates(network, clock)
        self.lifecycle = Lifecycle(self.instances, network, clock, self.timers, machines)
        self.launcher = Launcher(
            self.instances, images, self.templates, network, self.lifecycle, self.behaviours, clock
        )
        self.ec2 = Ec2Instances(self.instances, self.launcher, self.lifecycle, self.templates, network, clock)
        self.registry = TargetRegistry(account, clock, self.timers)
        self.prober = Prober(self.registry, self.instances, self.lifecycle, clock, self.timers)
        self.engine = Engine(
            self.instances,
            self.launcher,
            self.lifecycle,
            self.templates,
            self.registry,
            alarming,
            clock,
            self.timers,
        )
        self._groups = GroupApi(self.engine, network, clock)
        self._tags = TagApi(self.engine)
        self._attachments = AttachmentApi(self.engine)
        self._members = MemberApi(self.engine, self.instances, clock)
        self._refreshes = RefreshApi(self.engine, self.templates, clock)
        self._targets = TargetApi(self.registry, self.instances)
        self.network = network

    def set_settings(self, settings: Settings) -> None:
        """Put settings in force."""
        self.lifecycle.settings = self.launcher.settings = settings
        self.engine.refresher.settings = self.prober.settings = settings

    def step(self) -> int:
        """Do what is due now. Returns how many regions were looked at."""
        looks = 0
        while due := self.timers.due(self._clock.now()):
            for region in due:
                self.lifecycle.step(region)
                self.registry.settle(region)
                self.prober.step(region)
                self.engine.step(region)
                looks += 1
            if looks > STEPS_AT_ONCE:
                raise RuntimeError(f"the local cloud does not come to rest: {due}")
        return looks

    def advance(self, seconds: float) -> float:
        """Let time pass, doing everything at its own moment when the clock is frozen. Returns the new time."""
        if not self._clock.frozen:
            self._clock.advance(seconds)
            self.step()
            return self._clock.now()
        end = self._clock.now() + seconds
        self.step()
        while (due := self.timers.next()) is not None and due <= end:
            self._clock.advance(max(0.0, due - self._clock.now()))
            self.step()
        self._clock.advance(end - self._clock.now())
        self.step()
        return self._clock.now()

    def operations(self) -> dict[str, dict[str, Callable[..., dict[str, Any]]]]:
        """Service → botocore's operation name → what answers it."""
        ec2, templates, groups, members = self.ec2, self.templates, self._groups, self._members
        tags, attached = self._tags, self._attachments
        return {
            "ec2": {
                "RunInstances": ec2.run_instances,
                "DescribeInstances": ec2.describe_instances,
                "DescribeInstanceStatus": ec2.describe_instance_status,
                "TerminateInstances": ec2.terminate_instances,
                "StopInstances": ec2.stop_instances,
                "StartInstances": ec2.start_instances,
                "RebootInstances": ec2.reboot_instances,
                "GetConsoleOutput": ec2.get_console_output,
                "DescribeInstanceAttribute": ec2.describe_instance_attribute,
                "ModifyInstanceAttribute": ec2.modify_instance_attribute,
                "ModifyInstanceMetadataOptions": ec2.modify_instance_metadata_options,
                "GetLaunchTemplateData": ec2.get_launch_template_data,
                "AttachVolume": ec2.attach_volume,
                "DetachVolume": ec2.detach_volume,
                "CreateLaunchTemplate": templates.create,
                "CreateLaunchTemplateVersion": templates.create_version,
                "ModifyLaunchTemplate": templates.modify,
                "DeleteLaunchTemplate": templates.delete,
                "DeleteLaunchTemplateVersions": templates.delete_versions,
                "DescribeLaunchTemplates": templates.describe,
                "DescribeLaunchTemplateVersions": templates.describe_versions,
            },
            "autoscaling": {
                "CreateAutoScalingGroup": groups.create,
                "UpdateAutoScalingGroup": groups.update,
                "DeleteAutoScalingGroup": groups.delete,
                "DescribeAutoScalingGroups": groups.describe,
                "DescribeAutoScalingInstances": groups.describe_instances,
                "DescribeScalingActivities": groups.describe_activities,
                "SetDesiredCapacity": groups.set_desired,
                "SuspendProcesses": groups.suspend,
                "ResumeProcesses": groups.resume,
                "CreateOrUpdateTags": tags.tag,
                "DeleteTags": tags.untag,
                "DescribeTags": tags.describe_tags,
                "AttachLoadBalancerTargetGroups": attached.attach_targets,
                "DetachLoadBalancerTargetGroups": attached.detach_targets,
                "DescribeLoadBalancerTargetGroups": attached.describe_targets,
                "PutWarmPool": attached.put_pool,
                "DeleteWarmPool": attached.delete_pool,
                "DescribeWarmPool": attached.describe_pool,
                "TerminateInstanceInAutoScalingGroup": members.terminate,
                "SetInstanceHealth": members.set_health,
                "SetInstanceProtection": members.protect,
                "EnterStandby": members.enter_standby,
                "ExitStandby": members.exit_standby,
                "AttachInstances": members.attach,
                "DetachInstances": members.detach,
                "PutLifecycleHook": members.put_hook,
                "DeleteLifecycleHook": members.delete_hook,
                "DescribeLifecycleHooks": members.describe_hooks,
                "CompleteLifecycleAction": members.complete,
                "RecordLifecycleActionHeartbeat": members.heartbeat,
                "StartInstanceRefresh": self._refreshes.start,
                "DescribeInstanceRefreshes": self._refreshes.describe,
                "CancelInstanceRefresh": self._refreshes.cancel,
                "RollbackInstanceRefresh": self._refreshes.roll_back,
            },
            "elbv2": {
                "RegisterTargets": self._targets.register,
                "DeregisterTargets": self._targets.deregister,
                "DescribeTargetHealth": self._targets.describe,
            },
        }

    def kept(self) -> dict[str, Any]:
        """What survives a restart."""
        return {
            "instances": list(self.instances.everything()),
            "templates": self.templates.regions,
            "tokens": self.ec2.tokens,
            "groups": self.engine.groups,
            "targets": self.registry.groups,
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Take what `kept` gave. Machines did not survive: their instances are terminated by the next steps."""
        self.instances.restore(kept["instances"])
        self.templates.regions = kept["templates"]
        self.ec2.tokens = kept["tokens"]
        self.engine.groups = kept["groups"]
        self.registry.groups = kept["targets"]
        self._wake()

    def clear(self) -> None:
        """Forget everything."""
        for one in self.instances.everything():
            self.lifecycle.terminate(one)
        self.timers.clear()
        self.behaviours.rules.clear()
        self.instances.restore(())
        self.templates.regions = {}
        self.ec2.tokens.clear()
        self.engine.groups = {}
        self.registry.groups = {}

    def _wake(self) -> None:
        now = self._clock.now()
        for instance in self.instances.everything():
            self._bring_back(instance)
            for when in (instance.until, instance.boots_at):
                self.timers.at(when, instance.region)
        for region in {*self.instances.regions(), *self.engine.groups}:
            self.timers.soon(now, region)

    def _bring_back(self, instance: Instance) -> None:
        """A machine's disk went with the cloud's process, so that a stopped instance cannot be started again either."""
        if instance.kind == "machine" and instance.state != "terminated":
            self.lifecycle.terminate(instance, RESTARTED)


RESTARTED = ("Server.InternalError", "Server.InternalError: the local cloud was stopped, and the machine with it")
