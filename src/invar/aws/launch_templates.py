"""Launch templates: numbered versions, each made once, found again by what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, code_of, told


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One version of a launch template. `data` has EC2's own names."""

    template: str
    number: int
    description: str
    data: dict[str, Any]


def find_template(cloud: Cloud, region: str, name: str) -> str | None:
    """The id of the launch template of this name, or None. Raises InvarError."""
    try:
        found = cloud.ec2(region).describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]
    except AWS_ERRORS as error:
        if code_of(error) == "InvalidLaunchTemplateName.NotFoundException":
            return None
        raise told(error, f"ec2:DescribeLaunchTemplates {region} {name}") from error
    return found[0]["LaunchTemplateId"] if found else None


def create_template(
    cloud: Cloud, region: str, name: str, data: Mapping[str, Any], description: str, tags: Mapping[str, str]
) -> str:
    """Make a launch template whose version 1 holds `data`; the id. One that was made meanwhile is taken instead."""
    given = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    try:
        made = cloud.ec2(region).create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData=data,  # type: ignore[arg-type]
            VersionDescription=description,
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": given}],  # type: ignore[list-item,misc]
        )
    except AWS_ERRORS as error:
        if code_of(error) == "InvalidLaunchTemplateName.AlreadyExistsException":
            found = find_template(cloud, region, name)
            if found is not None:
                return found
        raise told(error, f"ec2:CreateLaunchTemplate {region} {name}") from error
    return made["LaunchTemplate"]["LaunchTemplateId"]


def list_versions(cloud: Cloud, region: str, template: str) -> list[TemplateVersion]:
    """Every version of a launch template, oldest first. Raises InvarError."""
    try:
        pages = (
            cloud.ec2(region)
            .get_paginator("describe_launch_template_versions")
            .paginate(LaunchTemplateId=template, PaginationConfig={"PageSize": 200})
        )
        found = [
            TemplateVersion(
                template, one["VersionNumber"], one.get("VersionDescription", ""), dict(one["LaunchTemplateData"])
            )
            for page in pages
            for one in page["LaunchTemplateVersions"]
        ]
    except AWS_ERRORS as error:
        raise told(error, f"ec2:DescribeLaunchTemplateVersions {region} {template}") from error
    return sorted(found, key=lambda one: one.number)


def create_version(cloud: Cloud, region: str, template: str, data: Mapping[str, Any], description: str) -> int:
    """Make a new version, from nothing but `data`; its number. Raises InvarError."""
    try:
        made = cloud.ec2(region).create_launch_template_version(
            LaunchTemplateId=template,
            LaunchTemplateData=data,  # type: ignore[arg-type]
            VersionDescription=description,
        )
    except AWS_ERRORS as error:
        raise told(error, f"ec2:CreateLaunchTemplateVersion {region} {template}") from error
    return made["LaunchTemplateVersion"]["VersionNumber"]
