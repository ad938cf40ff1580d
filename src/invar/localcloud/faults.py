"""Faults on request: which call is refused, delayed, throttled or cut off. Decides only; the gateway does it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Action = Literal["error", "drop", "cut", "fail_copy"]
ACTIONS: tuple[Action, ...] = ("error", "drop", "cut", "fail_copy")


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. It passes the first `after` matching calls, then strikes `times` calls (None: all).

    `operation` and `region` None match any. `action` "error" answers `code` (with HTTP `status` and, for EBS direct,
    `reason`) without doing anything; "drop" closes the connection before doing anything; "cut" does it, then closes the
    connection without an answer; "fail_copy" lets a CopyImage begin and end in state failed. `latency` seconds pass
    first; alone (action None) it only delays.
    """

    operation: str | None = None
    region: str | None = None
    after: int = 0
    times: int | None = 1
    action: Action | None = None
    code: str = "InternalServerException"
    message: str = "A fault that was asked for."
    status: int = 500
    reason: str | None = None
    latency: float = 0.0

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Fault:
        """A rule out of the control API's JSON. Raises ValueError."""
        unknown = set(data) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(
                f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(cls.__dataclass_fields__)}"
            )
        if data.get("action") not in (None, *ACTIONS):
            raise ValueError(f"action is one of {', '.join(ACTIONS)}, not {data['action']!r}")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one call: wait `latency` seconds, then `fault` strikes, if there is one."""

    latency: float = 0.0
    fault: Fault | None = None


@dataclass(slots=True)
class _Rule:
    fault: Fault
    seen: int = 0
    struck: int = 0


@dataclass(slots=True)
class _Bucket:
    rate: float
    tokens: float
    filled: float


class FaultBook:
    """The rules in force, and how often each was met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._rates: dict[str, float] = {}
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._down: set[str] = set()

    def add(self, fault: Fault) -> None:
        """Put a rule in force after the others."""
        with self._lock:
            self._rules.append(_Rule(fault))

    def throttle(self, operation: str, rate: float | None) -> None:
        """Allow `rate` calls a second in each region (bursts of a second's worth); None: as many as come."""
        with self._lock:
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if key[0] != operation}
            if rate is None:
                self._rates.pop(operation, None)
            else:
                self._rates[operation] = rate

    def set_region(self, region: str, *, down: bool) -> None:
        """Take a region away (every call to it is dropped), or bring it back."""
        with self._lock:
            (self._down.add if down else self._down.discard)(region)

    def clear(self) -> None:
        """No faults at all."""
        with self._lock:
            self._rules.clear()
            self._rates.clear()
            self._buckets.clear()
            self._down.clear()

    def told(self) -> dict[str, Any]:
        """The rules with their counts, for the control API."""
        with self._lock:
            rules = [
                {name: getattr(rule.fault, name) for name in Fault.__dataclass_fields__}
                | {"seen": rule.seen, "struck": rule.struck}
                for rule in self._rules
            ]
            return {"faults": rules, "throttle": dict(self._rates), "down": sorted(self._down)}

    def judge(self, operation: str, region: str, throttled: Fault, now: float) -> Verdict:
        """What happens to this call. `throttled` is how the protocol says "too fast"; `now` is monotonic seconds."""
        with self._lock:
            if region in self._down:
                return Verdict(fault=Fault(action="drop"))
            latency = 0.0
            for rule in self._rules:
                if not self._strikes(rule, operation, region):
                    continue
                latency += rule.fault.latency
                if rule.fault.action is not None:
                    return Verdict(latency, rule.fault)
            if not self._admits(operation, region, now):
                return Verdict(latency, throttled)
            return Verdict(latency)

    @staticmethod
    def _strikes(rule: _Rule, operation: str, region: str) -> bool:
        fault = rule.fault
        if fault.operation not in (None, operation) or fault.region not in (None, region):
            return False
        rule.seen += 1
        if rule.seen <= fault.after or (fault.times is not None and rule.struck >= fault.times):
            return False
        rule.struck += 1
        return True

    def _admits(self, operation: str, region: str, now: float) -> bool:
        rate = self._rates.get(operation)
        if rate is None:
            return True
        most = max(rate, 1.0)
        bucket = self._buckets.setdefault((operation, region), _Bucket(rate, most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.filled) * rate)
        bucket.filled = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


@dataclass(slots=True)
class Counters:
    """How many calls of each operation came, were answered well, and how many body bytes they carried."""

    calls: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def came(self, operation: str, size: int) -> None:
        """A call came with a body of `size` bytes."""
        with self._lock:
            self.calls[operation] = self.calls.get(operation, 0) + 1
            self.bytes[operation] = self.bytes.get(operation, 0) + size

    def answered(self, operation: str) -> None:
        """A call was answered with a result."""
        with self._lock:
            self.done[operation] = self.done.get(operation, 0) + 1

    def told(self) -> dict[str, dict[str, int]]:
        """The counts, for the control API."""
        with self._lock:
            return {"calls": dict(self.calls), "done": dict(self.done), "bytes": dict(self.bytes)}

    def clear(self) -> None:
        """Count from nothing again."""
        with self._lock:
            for counts in (self.calls, self.done, self.bytes):
                counts.clear()
