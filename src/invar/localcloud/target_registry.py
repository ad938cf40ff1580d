"""Targets of load balancing: who is registered, how healthy, and who drains. Health itself is counted by probes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from moto.elbv2.models import elbv2_backends

from invar.localcloud.clock import Clock, Timers

TargetState = Literal["initial", "healthy", "unhealthy", "draining", "unused"]
WORST = ("unhealthy", "draining", "initial", "unused", "healthy")


@dataclass(frozen=True, slots=True)
class Check:
    """A target group's health check. Seconds; `port` None is the target's own; `codes` as "200" or "200-299,302"."""

    protocol: str
    port: int | None
    path: str
    interval: float
    timeout: float
    rise: int
    fall: int
    codes: str


@dataclass(slots=True)
class Target:
    """One target. `streak` counts equal results in a row: above zero passed, below failed."""

    instance: str
    port: int
    state: TargetState = "initial"
    why: str = ""
    streak: int = 0
    probed: float = 0.0
    until: float = float("inf")


@dataclass(slots=True)
class TargetGroupState:
    """The targets of a target group, by (instance, port)."""

    arn: str
    region: str
    targets: dict[tuple[str, int], Target] = field(default_factory=dict)


def judged(target: Target, passed: bool, check: Check) -> tuple[TargetState, int]:
    """A target's state and streak after one probe. A new target is healthy after its first success. Pure."""
    streak = max(1, target.streak + 1) if passed else min(-1, target.streak - 1)
    if target.state == "initial" and passed:
        return "healthy", streak
    if passed and target.state == "unhealthy" and streak >= check.rise:
        return "healthy", streak
    if not passed and target.state in ("healthy", "initial") and -streak >= check.fall:
        return "unhealthy", streak
    return target.state, streak


class TargetRegistry:
    """All target groups' targets."""

    def __init__(self, account: str, clock: Clock, timers: Timers) -> None:
        self._account = account
        self._clock = clock
        self._timers = timers
        self.groups: dict[str, TargetGroupState] = {}

    def register(self, region: str, arn: str, instance: str, port: int | None = None) -> None:
        """Register an instance; one that drains is taken back."""
        found = self.find(region, arn)
        if found is None:
            return
        key = (instance, int(port or found.port))
        state = self.groups.setdefault(arn, TargetGroupState(arn, region))
        known = state.targets.get(key)
        if known is None or known.state == "draining":
            state.targets[key] = Target(*key)
            self._timers.soon(self._clock.now(), region)

    def deregister(self, region: str, arn: str, instance: str, port: int | None = None) -> bool:
        """Let a target drain for the group's deregistration delay. False when it is not registered."""
        state = self.groups.get(arn)
        done = False
        for key, target in list(state.targets.items()) if state else ():
            if key[0] == instance and port in (None, key[1]):
                done = True
                if target.state == "draining":
                    continue
                delay = self.delay(region, arn) if target.state == "healthy" or self.in_use(region, arn) else 0.0
                target.state, target.until = "draining", self._clock.now() + delay
                self._timers.at(target.until, region)
                self._timers.soon(self._clock.now(), region)
        return done

    def settle(self, region: str) -> None:
        """Forget targets that have drained."""
        now = self._clock.now()
        for state in self.groups.values():
            if state.region == region:
                for key, target in list(state.targets.items()):
                    if target.state == "draining" and now >= target.until:
                        del state.targets[key]

    def worst(self, region: str, arns: Iterable[str], instance: str) -> str | None:
        """The worst state that an instance has in these target groups; None: it is registered in none."""
        states = [
            target.state
            for arn in arns
            if arn in self.groups
            for key, target in self.groups[arn].targets.items()
            if key[0] == instance
        ]
        return min(states, key=WORST.index, default=None)

    def ports(self, region: str, arns: Iterable[str]) -> tuple[int, ...]:
        """Ports that targets of these groups answer on, the health check's among them."""
        ports = set()
        for arn in arns:
            found = self.find(region, arn)
            if found is not None and found.port:
                ports.add(int(found.port))
                if str(found.health_check_port).isdecimal():
                    ports.add(int(found.health_check_port))
        return tuple(sorted(ports))

    def find(self, region: str, arn: str) -> Any:
        """moto's target group, or None."""
        return elbv2_backends[self._account][region].target_groups.get(arn)

    def in_use(self, region: str, arn: str) -> bool:
        """Whether a load balancer sends requests there."""
        found = self.find(region, arn)
        return found is not None and bool(found.load_balancer_arns)

    def delay(self, region: str, arn: str) -> float:
        """The deregistration delay in seconds."""
        found = self.find(region, arn)
        return float(found.attributes["deregistration_delay.timeout_seconds"]) if found is not None else 0.0

    def check(self, region: str, arn: str, interval: float) -> Check | None:
        """The group's health check, with another `interval` unless that is 0; None where there is no such group."""
        found = self.find(region, arn)
        if found is None:
            return None
        port = str(found.health_check_port or "")
        own = float(found.health_check_interval_seconds or 30)
        matcher = getattr(found, "matcher", None) or {}
        check = Check(
            protocol=str(found.health_check_protocol or "HTTP"),
            port=int(port) if port.isdecimal() else None,
            path=str(found.health_check_path or "/"),
            interval=own,
            timeout=float(found.health_check_timeout_seconds or 5),
            rise=int(found.healthy_threshold_count or 5),
            fall=int(found.unhealthy_threshold_count or 2),
            codes=str(matcher.get("HttpCode") or "200"),
        )
        return replace(check, interval=interval) if interval else check
