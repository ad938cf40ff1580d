"""Auto Scaling's operations on the tags of groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.localcloud.autoscaling_engine import Engine
from invar.localcloud.autoscaling_records import Group
from invar.localcloud.autoscaling_view import page_of, shown_tags
from invar.localcloud.ebs import Caller
from invar.localcloud.ec2_snapshots import merged_tags
from invar.localcloud.filters import matches

Parameters = Mapping[str, Any]


class TagApi:
    """The operations. Parameters and results have botocore's names and types."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def tag(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """CreateOrUpdateTags."""
        for one in parameters["Tags"]:
            tag_group(self._engine.require(caller.region, one.get("ResourceId", "")), [one])
        return {}

    def untag(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeleteTags."""
        for one in parameters["Tags"]:
            self._engine.require(caller.region, one.get("ResourceId", "")).tags.pop(one["Key"], None)
        return {}

    def describe_tags(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeTags."""
        filters = parameters.get("Filters") or []
        found = [
            tag
            for group in self._engine.groups.get(caller.region, {}).values()
            for tag in shown_tags(group)
            if matches(
                {
                    "auto-scaling-group": [group.name],
                    "key": [tag["Key"]],
                    "value": [tag["Value"]],
                    "propagate-at-launch": [str(tag["PropagateAtLaunch"]).lower()],
                },
                filters,
                ("auto-scaling-group", "key", "value", "propagate-at-launch"),
            )
        ]
        shown, token = page_of(found, parameters, 50, 100)
        return {"Tags": shown} | token


def tag_group(group: Group, tags: list[dict[str, Any]]) -> None:
    """Set tags, given in botocore's form. Raises CloudError."""
    for one in tags:
        merged_tags({}, {one["Key"]: one.get("Value", "")})
        group.tags[one["Key"]] = (one.get("Value", ""), bool(one.get("PropagateAtLaunch", False)))
