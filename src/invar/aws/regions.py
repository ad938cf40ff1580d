"""The regions of an account."""

from __future__ import annotations

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, told

ASKED = "us-east-1"
"""Where the regions are asked for when nothing names a region."""


def enabled_regions(cloud: Cloud) -> list[str]:
    """The regions that the account can use, by name. Raises InvarError."""
    region = cloud.region or ASKED
    try:
        found = cloud.ec2(region).describe_regions()["Regions"]
    except AWS_ERRORS as error:
        raise told(error, f"ec2:DescribeRegions {region}") from error
    return sorted(one["RegionName"] for one in found)
