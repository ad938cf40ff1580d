"""What befalls a simulated fleet in the middle of a change: instances, calls, controllers, other operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from fleet.operation import Operator
from fleet.simulation import REGIONS
from invar.localcloud.behaviour import Behaviour, Rule

BAD: dict[str, dict[str, Any]] = {
    "never boots": {"never_boots": True},
    "boots slowly": {"boot_seconds": 150},
    "boots too slowly": {"boot_seconds": 400},
    "dies": {"dies_after": 45},
    "becomes impaired": {"impaired_after": 70},
    "runs something else": {"digest": "f" * 64},
    "has a corrupted layer": {"corrupted": True},
    "is silent": {"silent": True},
    "has a failed unit": {"failed_units": ("nginx.service",)},
}
THROTTLED = (
    "DescribeAutoScalingGroups",
    "DescribeInstanceRefreshes",
    "StartInstanceRefresh",
    "RollbackInstanceRefresh",
    "GetParameters",
    "PutParameter",
    "DescribeInstances",
    "GetConsoleOutput",
    "SuspendProcesses",
    "ResumeProcesses",
    "CreateOrUpdateTags",
    "DeleteTags",
    "TerminateInstanceInAutoScalingGroup",
)


@dataclass(frozen=True)
class Bad:
    """Instances of an image go bad that are launched from now on: not the first `after`, then `times` in each region.

    `goal`: of the image that the change goes to; else of the one that runs, and that a failed rollout goes back to.
    """

    goal: bool
    kind: str
    after: int
    times: int

    def befall(self, operator: Operator) -> None:
        image = operator.goal if self.goal else operator.ran
        for region in REGIONS:
            rule = bad(operator.world.images[image][region], self.kind, self.after, self.times)
            operator.world.compute.behaviours.rules.append(rule)


@dataclass(frozen=True)
class Throttled:
    """AWS refuses an operation for a while."""

    operation: str
    after: int
    times: int

    def befall(self, operator: Operator) -> None:
        operator.undisturbed = False
        given = {"operation": self.operation, "after": self.after, "times": self.times}
        operator.world.control("POST", "faults", given | {"action": "error", "code": "Throttling", "status": 400})


@dataclass(frozen=True)
class Dies:
    """The controller is killed at a call, before it or before its answer."""

    calls: int
    late: bool

    def befall(self, operator: Operator) -> None:
        operator.undisturbed = False
        operator.world.aws.dies_in, operator.world.aws.dies_late = self.calls, self.late


@dataclass(frozen=True)
class Somebody:
    """Somebody else does something, between two calls of the controller's."""

    act: str
    calls: int

    def befall(self, operator: Operator) -> None:
        if self.act == "begins":
            operator.undisturbed = False  # the first operator's may end at once then, and nobody drives the other's
        operator.world.aws.meanwhile.append((self.calls, lambda: operator.somebody(self.act)))


@dataclass(frozen=True)
class Later:
    """Somebody else does something, while the controller waits."""

    act: str
    seconds: int

    def befall(self, operator: Operator) -> None:
        at, done = operator.now() + self.seconds, list[bool]()

        def look() -> None:
            if not done and operator.now() >= at:
                done.append(True)
                operator.somebody(self.act)

        operator.world.watchers.append(look)


ACTS = ("cancels", "pauses", "resumes", "aborts", "begins", "looks")
TROUBLES: Any = st.lists(
    st.one_of(
        st.builds(Bad, st.booleans(), st.sampled_from(sorted(BAD)), st.integers(0, 6), st.integers(1, 4)),
        st.builds(Throttled, st.sampled_from(THROTTLED), st.integers(0, 30), st.integers(1, 12)),
        st.builds(Dies, st.integers(0, 120), st.booleans()),
        st.builds(Somebody, st.sampled_from(ACTS), st.integers(0, 200)),
        st.builds(Later, st.sampled_from(ACTS), st.integers(20, 400)),
    ),
    max_size=4,
)


def bad(image: str, kind: str, after: int, times: int) -> Any:
    """A rule for launches from an image."""
    return Rule(Behaviour(**BAD[kind]), image=image, after=after, times=times)
