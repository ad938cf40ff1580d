"""What Auto Scaling asks of load balancing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Targets(Protocol):
    """What groups ask of load balancing (target_registry.TargetRegistry)."""

    def register(self, region: str, arn: str, instance: str) -> None: ...
    def deregister(self, region: str, arn: str, instance: str) -> bool: ...
    def worst(self, region: str, arns: Iterable[str], instance: str) -> str | None: ...
    def ports(self, region: str, arns: Iterable[str]) -> tuple[int, ...]: ...
