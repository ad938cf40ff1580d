"""Groups of simulated instances under a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True)
class Bench:
    """A region's clients, its clock, two images and a launch template whose versions 1 and 2 name them."""

    ec2: Any
    autoscaling: Any
    elbv2: Any
    cloudwatch: Any
    images: tuple[str, str]
    template: str
    control: Callable[..., dict[str, Any]]

    def wait(self, seconds: float) -> None:
        """Let seconds pass."""
        self.control("POST", "clock", {"advance": seconds})

    def version(self, number: int) -> dict[str, str]:
        """A launch template specification."""
        return {"LaunchTemplateId": self.template, "Version": str(number)}

    def create(self, name: str = "web", size: int = 3, **options: Any) -> None:
        """A group of that size, and time for it to come up."""
        given: dict[str, Any] = {
            "AutoScalingGroupName": name,
            "LaunchTemplate": self.version(1),
            "MinSize": 0,
            "MaxSize": 3 * size,
            "DesiredCapacity": size,
            "AvailabilityZones": ["us-east-1a", "us-east-1b", "us-east-1c"],
        } | options
        self.autoscaling.create_auto_scaling_group(**given)
        self.wait(60)

    def group(self, name: str = "web") -> dict[str, Any]:
        """The group as it is shown."""
        [found] = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        shown: dict[str, Any] = found
        return shown

    def members(self, name: str = "web", state: str | None = None) -> list[dict[str, Any]]:
        """Members, those in one state if that is given."""
        return [one for one in self.group(name)["Instances"] if state in (None, one["LifecycleState"])]

    def versions(self, name: str = "web") -> dict[str, int]:
        """Launch template version → members in service."""
        counted: dict[str, int] = {}
        for one in self.members(name, "InService"):
            number = one["LaunchTemplate"]["Version"]
            counted[number] = counted.get(number, 0) + 1
        return counted

    def refresh(self, name: str = "web", version: int = 2, **preferences: Any) -> str:
        """Start a refresh to a version, and let it begin."""
        made: str = self.autoscaling.start_instance_refresh(
            AutoScalingGroupName=name,
            DesiredConfiguration={"LaunchTemplate": self.version(version)},
            Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200} | preferences,
        )["InstanceRefreshId"]
        return made

    def newest(self, name: str = "web") -> dict[str, Any]:
        """The newest refresh as it is shown."""
        found = self.autoscaling.describe_instance_refreshes(AutoScalingGroupName=name)["InstanceRefreshes"]
        shown: dict[str, Any] = found[0]
        return shown

    def until(self, status: str, name: str = "web", step: float = 10, least: int = 0, most: float = 7200) -> list[int]:
        """Let time pass until the newest refresh has a status; how many were in service at every step."""
        seen = []
        for _ in range(int(most / step)):
            shown = self.newest(name)
            seen.append(len(self.members(name, "InService")))
            assert seen[-1] >= least, seen
            if shown["Status"] == status:
                return seen
            self.wait(step)
        raise AssertionError(f"{status} was not reached: {self.newest(name)}")


def refused(operation: Callable[..., Any], **parameters: Any) -> str:
    """The error code of a call."""
    try:
        operation(**parameters)
    except ClientError as error:
        code: str = error.response["Error"]["Code"]
        return code
    raise AssertionError("it was not refused")
