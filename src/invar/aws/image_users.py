"""Who refers to AMIs in a region: instances, launch templates and configurations, Auto Scaling groups, parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, told
from invar.aws.parameters import get_parameter

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef, LaunchTemplateSpecificationTypeDef

Kind = Literal["instance", "launch template", "group", "launch configuration", "parameter"]
AMI = re.compile(r"\bami-[0-9a-f]{8,17}\b")
RESOLVED = "resolve:ssm:"
NAMES_A_CALL = 10
GONE = ("terminated",)


@dataclass(frozen=True, slots=True)
class Use:
    """One reference to an image. `name` is what people call the user: "i-0a1b (running)", "web version 3"."""

    image: str
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class _Template:
    """A launch template: `images` maps each version's number to its AMI, which may be none."""

    id: str
    name: str
    default: int
    latest: int
    images: dict[int, str]

    def image(self, version: str | None) -> str | None:
        """The AMI of a version as groups name it: a number, $Latest, $Default, or nothing (the default)."""
        number = {"$Latest": self.latest, "$Default": self.default, None: self.default, "": self.default}.get(version)
        if number is None:
            number = int(version) if version and version.isdecimal() else 0
        return self.images.get(number)


def image_uses(cloud: Cloud, region: str) -> list[Use]:
    """Every reference to an AMI in a region, in whatever state its user is, terminated instances aside.

    Raises InvarError when any kind of user cannot be listed: then nobody may conclude that an image is unused.
    """
    templates = _templates(cloud, region)
    uses = [*_instances(cloud, region), *_groups(cloud, region, templates), *_parameters(cloud, region)]
    for template in templates.values():
        uses += [
            Use(image, "launch template", f"{template.name} version {version}")
            for version, image in template.images.items()
        ]
    return sorted(set(uses), key=lambda use: (use.image, use.kind, use.name))


def _instances(cloud: Cloud, region: str) -> Iterator[Use]:
    try:
        for page in cloud.ec2(region).get_paginator("describe_instances").paginate():
            for reservation in page["Reservations"]:
                for one in reservation.get("Instances", []):
                    state = one["State"]["Name"]
                    if state not in GONE and "ImageId" in one:
                        yield Use(one["ImageId"], "instance", f"{one['InstanceId']} ({state})")
    except AWS_ERRORS as error:
        raise told(error, f"ec2:DescribeInstances {region}") from error


def _templates(cloud: Cloud, region: str) -> dict[str, _Template]:
    """Launch templates by id, with all their versions. Parameters that versions name are resolved."""
    ec2 = cloud.ec2(region)
    found: dict[str, _Template] = {}
    call = "ec2:DescribeLaunchTemplates"
    try:
        for page in ec2.get_paginator("describe_launch_templates").paginate():
            for one in page["LaunchTemplates"]:
                found[one["LaunchTemplateId"]] = _Template(
                    one["LaunchTemplateId"],
                    one["LaunchTemplateName"],
                    one["DefaultVersionNumber"],
                    one["LatestVersionNumber"],
                    {},
                )
        call = "ec2:DescribeLaunchTemplateVersions"
        for template in found.values():
            pages = ec2.get_paginator("describe_launch_template_versions").paginate(LaunchTemplateId=template.id)
            for versions in pages:
                for version in versions["LaunchTemplateVersions"]:
                    image = version["LaunchTemplateData"].get("ImageId")
                    if image:
                        template.images[version["VersionNumber"]] = image
    except AWS_ERRORS as error:
        raise told(error, f"{call} {region}") from error
    named = {image for template in found.values() for image in template.images.values() if image.startswith(RESOLVED)}
    values = {name: get_parameter(cloud, region, name.removeprefix(RESOLVED)) for name in sorted(named)}
    for template in found.values():
        for number, image in list(template.images.items()):
            parameter = values.get(image)
            if parameter is not None:
                template.images[number] = parameter.value
    return found


def _groups(cloud: Cloud, region: str, templates: Mapping[str, _Template]) -> Iterator[Use]:
    autoscaling = cloud.autoscaling(region)
    by_name = {template.name: template for template in templates.values()}
    call = "autoscaling:DescribeLaunchConfigurations"
    configurations: dict[str, str] = {}
    try:
        for page in autoscaling.get_paginator("describe_launch_configurations").paginate():
            for one in page["LaunchConfigurations"]:
                configurations[one["LaunchConfigurationName"]] = one["ImageId"]
        call = "autoscaling:DescribeAutoScalingGroups"
        groups = [
            group
            for page in autoscaling.get_paginator("describe_auto_scaling_groups").paginate()
            for group in page["AutoScalingGroups"]
        ]
    except AWS_ERRORS as error:
        raise told(error, f"{call} {region}") from error
    for name, image in configurations.items():
        yield Use(image, "launch configuration", name)
    for group in groups:
        for given in _specifications(group):
            template = templates.get(given.get("LaunchTemplateId", "")) or by_name.get(
                given.get("LaunchTemplateName", "")
            )
            launched = template.image(given.get("Version")) if template else None
            if launched:
                yield Use(launched, "group", group["AutoScalingGroupName"])
        if group.get("LaunchConfigurationName") in configurations:
            yield Use(configurations[group["LaunchConfigurationName"]], "group", group["AutoScalingGroupName"])


def _specifications(group: AutoScalingGroupTypeDef) -> Iterator[LaunchTemplateSpecificationTypeDef]:
    """The launch template versions that a group's next instances come from."""
    if "LaunchTemplate" in group:
        yield group["LaunchTemplate"]
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    if "LaunchTemplateSpecification" in mixed:
        yield mixed["LaunchTemplateSpecification"]
    for override in mixed.get("Overrides", []):
        if "LaunchTemplateSpecification" in override:
            yield override["LaunchTemplateSpecification"]


def _parameters(cloud: Cloud, region: str) -> Iterator[Use]:
    """Parameters whose text names an AMI. Secure strings are not looked into."""
    try:
        pages = (
            cloud.ssm(region)
            .get_paginator("describe_parameters")
            .paginate(ParameterFilters=[{"Key": "Type", "Values": ["String", "StringList"]}])
        )
        names = [one["Name"] for page in pages for one in page["Parameters"]]
    except AWS_ERRORS as error:
        raise told(error, f"ssm:DescribeParameters {region}") from error
    for name, value in _values(cloud, region, names).items():
        for image in AMI.findall(value):
            yield Use(image, "parameter", name)


def _values(cloud: Cloud, region: str, names: list[str]) -> dict[str, str]:
    """Parameters' values by name; those that are gone are left out."""
    values: dict[str, str] = {}
    try:
        for start in range(0, len(names), NAMES_A_CALL):
            answer = cloud.ssm(region).get_parameters(Names=names[start : start + NAMES_A_CALL])
            values.update((one["Name"], one["Value"]) for one in answer["Parameters"])
    except AWS_ERRORS as error:
        raise told(error, f"ssm:GetParameters {region}") from error
    return values
