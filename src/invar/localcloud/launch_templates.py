"""Launch templates: numbered versions that never change, $Latest and $Default, and EC2's operations on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from invar.localcloud.clock import Clock
from invar.localcloud.ebs import Caller
from invar.localcloud.ec2_snapshots import merged_tags, specified_tags
from invar.localcloud.errors import CloudError
from invar.localcloud.filters import matches, page, tag_facts
from invar.localcloud.launch_plan import decode_user_data
from invar.localcloud.network import Network
from invar.localcloud.snapshots import new_id

NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")
MOST_VERSIONS_DELETED = 200
MOST_VERSIONS = 10_000
RESOLVE = "resolve:ssm:"
Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """One version. `data` is botocore's RequestLaunchTemplateData."""

    number: int
    data: dict[str, Any]
    description: str | None
    created: float


@dataclass(slots=True)
class LaunchTemplate:
    """A template of one region. Version numbers are never used again."""

    id: str
    name: str
    region: str
    account: str
    created: float
    tags: dict[str, str]
    versions: dict[int, Version] = field(default_factory=dict)
    default: int = 1
    latest: int = 0

    def numbered(self, version: str | None) -> Version | None:
        """The version that a number, "$Latest", "$Default" or None (the default) names."""
        if version in (None, "", "$Default"):
            return self.versions[self.default]
        if version == "$Latest":
            return self.versions[max(self.versions)]
        return self.versions.get(int(version)) if version is not None and version.isdecimal() else None


class LaunchTemplates:
    """Templates of all regions, and the operations. Parameters and results have botocore's names and types."""

    def __init__(self, network: Network, clock: Clock) -> None:
        self._network = network
        self._clock = clock
        self.regions: dict[str, dict[str, LaunchTemplate]] = {}

    def create(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """CreateLaunchTemplate."""
        name = parameters["LaunchTemplateName"]
        if not NAME.fullmatch(name):
            raise CloudError(
                "InvalidLaunchTemplateName.MalformedException",
                "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, "
                "and the characters '-', '_', '.', '/', '(', and ')'.",
            )
        here = self.regions.setdefault(caller.region, {})
        if any(one.name == name for one in here.values()):
            raise CloudError("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
        data = _checked(parameters.get("LaunchTemplateData") or {})
        tags = specified_tags(parameters, "launch-template")
        template = LaunchTemplate(new_id("lt"), name, caller.region, caller.account, self._clock.now(), tags)
        self._add(template, data, parameters.get("VersionDescription"))
        here[template.id] = template
        return {"LaunchTemplate": _shown(template)}

    def create_version(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """CreateLaunchTemplateVersion: with SourceVersion, what the request names replaces the source's."""
        template = self.require(caller.region, parameters)
        data = dict(parameters.get("LaunchTemplateData") or {})
        if parameters.get("SourceVersion"):
            data = dict(self.version(template, parameters["SourceVersion"]).data) | data
        if len(template.versions) >= MOST_VERSIONS:
            raise CloudError("VersionLimitExceeded", "The launch template has too many versions.")
        made = self._add(template, _checked(data), parameters.get("VersionDescription"))
        return {"LaunchTemplateVersion": self._shown_version(template, made, resolve=False)}

    def modify(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """ModifyLaunchTemplate: the default version."""
        template = self.require(caller.region, parameters)
        if parameters.get("DefaultVersion"):
            template.default = self.version(template, parameters["DefaultVersion"]).number
        return {"LaunchTemplate": _shown(template)}

    def delete(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeleteLaunchTemplate."""
        template = self.require(caller.region, parameters)
        del self.regions[caller.region][template.id]
        return {"LaunchTemplate": _shown(template)}

    def delete_versions(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeleteLaunchTemplateVersions: never the default one."""
        template = self.require(caller.region, parameters)
        wanted = parameters.get("Versions") or []
        if not 0 < len(wanted) <= MOST_VERSIONS_DELETED:
            raise CloudError("InvalidParameterValue", "Between 1 and 200 versions can be deleted at once.")
        done, failed = [], []
        for text in wanted:
            named = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name}
            if not text.isdecimal():
                raise CloudError("InvalidParameterValue", f"Invalid launch template version: {text}")
            shown = {**named, "VersionNumber": int(text)}
            if int(text) == template.default:
                error = {"Code": "unexpectedError", "Message": "The default version cannot be deleted."}
                failed.append({**shown, "ResponseError": error})
            elif template.versions.pop(int(text), None) is None:
                error = {"Code": "launchTemplateVersionDoesNotExist", "Message": "The version does not exist."}
                failed.append({**shown, "ResponseError": error})
            else:
                done.append(shown)
        return {
            "SuccessfullyDeletedLaunchTemplateVersions": done,
            "UnsuccessfullyDeletedLaunchTemplateVersions": failed,
        }

    def describe(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeLaunchTemplates."""
        here = self.regions.get(caller.region, {})
        ids, names = parameters.get("LaunchTemplateIds") or [], parameters.get("LaunchTemplateNames") or []
        for identity in ids:
            self.require(caller.region, {"LaunchTemplateId": identity})
        for name in names:
            self.require(caller.region, {"LaunchTemplateName": name})
        found = [
            one
            for one in here.values()
            if (not (ids or names) or one.id in ids or one.name in names)
            and matches(
                tag_facts(one.tags) | {"launch-template-name": [one.name], "create-time": [_text(one.created)]},
                parameters.get("Filters") or [],
                ("launch-template-name", "create-time"),
            )
        ]
        shown, token = page(found, parameters, 1, 200)
        return {"LaunchTemplates": [_shown(one) for one in shown]} | ({"NextToken": token} if token else {})

    def describe_versions(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeLaunchTemplateVersions: of one template, or the $Latest or $Default of all."""
        wanted = parameters.get("Versions") or []
        pairs: list[tuple[LaunchTemplate, Version]] = []
        if parameters.get("LaunchTemplateId") or parameters.get("LaunchTemplateName"):
            template = self.require(caller.region, parameters)
            least, most = int(parameters.get("MinVersion") or 1), int(parameters.get("MaxVersion") or template.latest)
            if wanted:
                pairs = [(template, self.version(template, one)) for one in wanted]
            else:
                numbers = sorted((n for n in template.versions if least <= n <= most), reverse=True)
                pairs = [(template, template.versions[n]) for n in numbers]
        else:
            if not wanted or set(wanted) - {"$Latest", "$Default"}:
                raise CloudError("MissingParameter", "Either a launch template, or $Latest or $Default, must be named.")
            for template in self.regions.get(caller.region, {}).values():
                pairs += [(template, self.version(template, one)) for one in wanted]
        shown, token = page(pairs, parameters, 1, 200)
        resolve = bool(parameters.get("ResolveAlias"))
        result: dict[str, Any] = {
            "LaunchTemplateVersions": [self._shown_version(one, version, resolve=resolve) for one, version in shown]
        }
        return result | ({"NextToken": token} if token else {})

    def data_of(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """The data of the version that a launch request's LaunchTemplate names."""
        template = self.require(caller.region, parameters)
        return self.version(template, parameters.get("Version")).data

    def require(self, region: str, named: Parameters) -> LaunchTemplate:
        """The template that LaunchTemplateId or LaunchTemplateName names. Raises CloudError."""
        identity, name = named.get("LaunchTemplateId"), named.get("LaunchTemplateName")
        here = self.regions.get(region, {})
        if identity and name:
            raise CloudError(
                "InvalidParameterCombination", "Specify either the launch template's ID or its name, not both."
            )
        if identity:
            if not re.fullmatch(r"lt-[0-9a-f]{8,17}", identity):
                raise CloudError("InvalidLaunchTemplateId.Malformed", f'Invalid id: "{identity}" (expecting "lt-...")')
            if identity not in here:
                raise CloudError(
                    "InvalidLaunchTemplateId.NotFound",
                    f"The specified launch template, with template ID {identity}, does not exist.",
                )
            return here[identity]
        if not name:
            raise CloudError("MissingParameter", "Either the launch template's ID or its name is needed.")
        for one in here.values():
            if one.name == name:
                return one
        raise CloudError(
            "InvalidLaunchTemplateName.NotFoundException",
            f"The specified launch template, with template name {name}, does not exist.",
        )

    def version(self, template: LaunchTemplate, version: str | None) -> Version:
        """One version. Raises CloudError."""
        found = template.numbered(version)
        if found is None:
            raise CloudError(
                "InvalidLaunchTemplateId.VersionNotFound",
                f"Could not find launch template version {version} of {template.id}.",
            )
        return found

    def resolve_image(self, region: str, image: str) -> str:
        """`resolve:ssm:NAME` as the AMI id that the parameter holds. Raises CloudError."""
        if not image.startswith(RESOLVE):
            return image
        value = self._network.parameter(region, image.removeprefix(RESOLVE))
        if value is None:
            raise CloudError(
                "InvalidParameterValue", f"The SSM parameter {image.removeprefix(RESOLVE)} cannot be resolved."
            )
        return value

    def change_tags(self, caller: Caller, identity: str, changed: dict[str, str | None]) -> None:
        """Set tags, or with None delete them."""
        template = self.require(caller.region, {"LaunchTemplateId": identity})
        template.tags = merged_tags(template.tags, changed)

    def tagged(self, caller: Caller) -> list[tuple[str, dict[str, str]]]:
        """Every template's id and tags."""
        return [(one.id, one.tags) for one in self.regions.get(caller.region, {}).values()]

    def _add(self, template: LaunchTemplate, data: dict[str, Any], description: str | None) -> Version:
        template.latest += 1
        made = Version(template.latest, data, description, self._clock.now())
        template.versions[made.number] = made
        return made

    def _shown_version(self, template: LaunchTemplate, version: Version, *, resolve: bool) -> dict[str, Any]:
        data = dict(version.data)
        if resolve and data.get("ImageId"):
            data["ImageId"] = self.resolve_image(template.region, data["ImageId"])
        shown = {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionNumber": version.number,
            "CreateTime": _time(version.created),
            "CreatedBy": f"arn:aws:iam::{template.account}:root",
            "DefaultVersion": version.number == template.default,
            "LaunchTemplateData": data,
        }
        return shown | ({"VersionDescription": version.description} if version.description else {})


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    if not data:
        raise CloudError("MissingParameter", "The request must contain the parameter LaunchTemplateData")
    decode_user_data(data.get("UserData"))
    if data.get("InstanceType") and data.get("InstanceRequirements"):
        raise CloudError(
            "InvalidParameterCombination", "InstanceType and InstanceRequirements cannot both be specified."
        )
    return data


def _shown(template: LaunchTemplate) -> dict[str, Any]:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "CreateTime": _time(template.created),
        "CreatedBy": f"arn:aws:iam::{template.account}:root",
        "DefaultVersionNumber": template.default,
        "LatestVersionNumber": max(template.versions),
        "Tags": [{"Key": key, "Value": value} for key, value in template.tags.items()],
    }


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _text(seconds: float) -> str:
    return _time(seconds).strftime("%Y-%m-%dT%H:%M:%S.000Z")
