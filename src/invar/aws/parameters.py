"""SSM parameters: small published facts, such as the AMI of a configuration in a region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, code_of, told


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as it is now; `version` counts its changes from 1."""

    name: str
    value: str
    version: int


def get_parameter(cloud: Cloud, region: str, name: str) -> Parameter | None:
    """A parameter, or None where there is none. `name` may be NAME:VERSION or NAME:LABEL. Raises InvarError."""
    try:
        found = cloud.ssm(region).get_parameter(Name=name)["Parameter"]
    except AWS_ERRORS as error:
        if code_of(error) in ("ParameterNotFound", "ParameterVersionNotFound"):
            return None
        raise told(error, f"ssm:GetParameter {region} {name}") from error
    return Parameter(found["Name"], found["Value"], found["Version"])


def list_parameters(cloud: Cloud, region: str, path: str) -> list[Parameter]:
    """Every parameter below a path ("/invar/production-web"), by name. Raises InvarError."""
    try:
        pages = cloud.ssm(region).get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
        found = [Parameter(one["Name"], one["Value"], one["Version"]) for page in pages for one in page["Parameters"]]
    except AWS_ERRORS as error:
        raise told(error, f"ssm:GetParametersByPath {region} {path}") from error
    return sorted(found, key=lambda one: one.name)


def put_parameter(
    cloud: Cloud, region: str, name: str, value: str, *, image: bool = False, tags: Mapping[str, str] | None = None
) -> bool:
    """Set a parameter. False, and nothing is written, where it has that value already. Raises InvarError.

    `image`: the value is an AMI id, which AWS then checks. `tags` are put on when the parameter is new.
    """
    before = get_parameter(cloud, region, name)
    if before is not None and before.value == value:
        return False
    ssm = cloud.ssm(region)
    data_type = "aws:ec2:image" if image else "text"
    try:
        if before is not None:
            ssm.put_parameter(Name=name, Value=value, Type="String", DataType=data_type, Overwrite=True)
        else:
            given = [{"Key": key, "Value": one} for key, one in sorted((tags or {}).items())]
            ssm.put_parameter(Name=name, Value=value, Type="String", DataType=data_type, Tags=given)  # type: ignore[arg-type]
    except AWS_ERRORS as error:
        raise told(error, f"ssm:PutParameter {region} {name}") from error
    return True


def delete_parameter(cloud: Cloud, region: str, name: str) -> bool:
    """Delete a parameter. False where there is none. Raises InvarError."""
    try:
        cloud.ssm(region).delete_parameter(Name=name)
    except AWS_ERRORS as error:
        if code_of(error) == "ParameterNotFound":
            return False
        raise told(error, f"ssm:DeleteParameter {region} {name}") from error
    return True


def get_parameters(cloud: Cloud, region: str, names: Sequence[str]) -> dict[str, str]:
    """The values of up to ten parameters by name; those that do not exist are left out. Raises InvarError."""
    try:
        answer = cloud.ssm(region).get_parameters(Names=list(names))
    except AWS_ERRORS as error:
        raise told(error, f"ssm:GetParameters {region} {names[0]}") from error
    return {one["Name"]: one["Value"] for one in answer["Parameters"]}


def create_parameter(cloud: Cloud, region: str, name: str, value: str, *, tags: Mapping[str, str]) -> bool:
    """Make a parameter. False, and nothing is written, where there is one of that name. Raises InvarError.

    SSM decides it: of many callers at once one makes it. Values over 4 KiB cost extra (the advanced tier, 8 KiB).
    """
    given = [{"Key": key, "Value": one} for key, one in sorted(tags.items())]
    try:
        cloud.ssm(region).put_parameter(
            Name=name,
            Value=value,
            Type="String",
            Tier="Intelligent-Tiering",
            Overwrite=False,
            Tags=given,  # type: ignore[arg-type]
        )
    except AWS_ERRORS as error:
        if code_of(error) == "ParameterAlreadyExists":
            return False
        raise told(error, f"ssm:PutParameter {region} {name}") from error
    return True


def overwrite_parameter(cloud: Cloud, region: str, name: str, value: str) -> None:
    """Set a parameter, whatever it was. Raises InvarError."""
    try:
        cloud.ssm(region).put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    except AWS_ERRORS as error:
        raise told(error, f"ssm:PutParameter {region} {name}") from error
