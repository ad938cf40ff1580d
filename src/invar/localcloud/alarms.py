"""CloudWatch alarms as moto keeps them: which are in state ALARM."""

from __future__ import annotations

from collections.abc import Iterable

from moto.cloudwatch.models import cloudwatch_backends


def alarming(account: str, region: str, names: Iterable[str]) -> list[str]:
    """Those of the named alarms that are in state ALARM; SetAlarmState puts them there."""
    alarms = cloudwatch_backends[account][region].alarms
    return [name for name in names if name in alarms and alarms[name].state_value == "ALARM"]
