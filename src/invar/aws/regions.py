"""The regions of an account, and those that AWS has at all."""

from __future__ import annotations

import functools

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


@functools.cache
def known_regions() -> frozenset[str]:
    """The regions of every partition that the installed botocore knows of, without a call; else empty."""
    try:
        from botocore.exceptions import DataNotFoundError
        from botocore.loaders import Loader
    except ImportError:
        return frozenset()
    try:
        data = Loader().load_data("partitions")
    except DataNotFoundError:
        return frozenset()
    regions = {region for partition in data["partitions"] for region in partition["regions"]}
    return frozenset(region for region in regions if not region.endswith("-global"))
