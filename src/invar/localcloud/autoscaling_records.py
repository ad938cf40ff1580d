"""What Auto Scaling knows: groups, their members, hooks, refreshes and activities. Times are seconds since 1970."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from invar.localcloud.instances import NEVER

LifecycleState = Literal[
    "Pending", "Pending:Wait", "Pending:Proceed", "InService", "EnteringStandby", "Standby", "Detaching",
    "Terminating", "Terminating:Wait", "Terminating:Proceed", "Warmed:Pending", "Warmed:Pending:Wait",
    "Warmed:Pending:Proceed", "Warmed:Running", "Warmed:Stopped",
]  # fmt: skip
Transition = Literal["autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"]
LAUNCHING: Transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING: Transition = "autoscaling:EC2_INSTANCE_TERMINATING"
RefreshStatus = Literal[
    "Pending", "InProgress", "Successful", "Failed", "Cancelling", "Cancelled", "RollbackInProgress", "RollbackFailed",
    "RollbackSuccessful", "Baking",
]  # fmt: skip
ACTIVE: tuple[RefreshStatus, ...] = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")
ONGOING, LEAVING = ("Pending", "Warmed"), "Terminating"


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """A launch template and one numbered version."""

    id: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Hook:
    """A lifecycle hook. `timeout` in seconds between heartbeats; `result` is what silence means."""

    name: str
    transition: Transition
    timeout: int = 3600
    result: Literal["CONTINUE", "ABANDON"] = "ABANDON"
    metadata: str | None = None
    target: str | None = None
    role: str | None = None


@dataclass(slots=True)
class Waiting:
    """A member that a hook holds: until `deadline`, `latest` at the latest, unless completed with `result`."""

    token: str
    deadline: float
    latest: float
    default: str
    result: str | None = None


@dataclass(slots=True)
class Member:
    """An instance in a group. `since`: in this state; `ready`: when it came into service; `epoch`: see Refresh."""

    id: str
    zone: str
    type: str
    image: str
    template: TemplateVersion
    state: LifecycleState
    since: float
    activity: str
    epoch: int
    spot: bool = False
    protected: bool = False
    health: Literal["Healthy", "Unhealthy"] = "Healthy"
    ready: float = NEVER
    cause: str = ""
    waiting: dict[str, Waiting] = field(default_factory=dict)
    drained: float = 0.0
    warm: bool = False

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out."""
        return self.state.startswith("Terminating") or self.state == "Detaching"

    @property
    def counted(self) -> bool:
        """Whether it counts towards the desired capacity."""
        return not self.leaving and not self.warm and self.state not in ("Standby", "EnteringStandby")


@dataclass(slots=True)
class Activity:
    """One entry of the scaling history."""

    id: str
    description: str
    cause: str
    start: float
    status: str = "InProgress"
    end: float | None = None
    message: str | None = None
    progress: int = 0
    details: str = "{}"


@dataclass(slots=True)
class Refresh:
    """An instance refresh. Members of an epoch below `epoch` are to be replaced; a rollback replaces those of `epoch`.

    `preferences` and `desired` are botocore's structures, preferences complete. `before` is the group's template or
    mixed instances policy at the start. `total` members were to be replaced. `stuck` is since when nothing changed.
    """

    id: str
    status: RefreshStatus
    preferences: dict[str, Any]
    desired: dict[str, Any] | None
    before: dict[str, Any]
    epoch: int
    start: float
    explicit_maximum: bool
    total: int = 0
    reason: str | None = None
    end: float | None = None
    percentage: int = 0
    remaining: int = 0
    checkpoint: int = 0
    paused_until: float | None = None
    bake_until: float | None = None
    waiting_since: float | None = None
    progressed: float = 0.0
    rollback: dict[str, Any] | None = None
    surge: int = 0

    @property
    def rolling_back(self) -> bool:
        """Whether it goes back."""
        return self.status == "RollbackInProgress"


@dataclass(slots=True)
class WarmPool:
    """A group's warm pool."""

    least: int = 0
    most: int | None = None
    state: str = "Stopped"
    reuse: bool = False
    deleting: bool = False


@dataclass(slots=True)
class Group:
    """An Auto Scaling group. `launch` is {"LaunchTemplate": ...} or {"MixedInstancesPolicy": ...}, as botocore has it.

    `policy` is (minimum, maximum) healthy percentage of the instance maintenance policy. `epoch` grows with every
    refresh and rollback; members carry the epoch in which they were launched. `next_try` holds launches back after a
    failure.
    """

    name: str
    region: str
    account: str
    created: float
    launch: dict[str, Any]
    least: int
    most: int
    desired: int
    zones: dict[str, str | None]
    subnets: str
    target_groups: list[str]
    health: str = "EC2"
    grace: int = 0
    cooldown: int = 300
    warmup: int | None = None
    termination: list[str] = field(default_factory=lambda: ["Default"])
    protect_new: bool = False
    rebalance: bool = False
    policy: tuple[int, int] | None = None
    tags: dict[str, tuple[str, bool]] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    suspended: dict[str, str] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    refreshes: list[Refresh] = field(default_factory=list)
    pool: WarmPool | None = None
    epoch: int = 0
    deleting: bool = False
    next_try: float = 0.0
    failures: int = 0
    arn: str = ""
    service_role: str = ""

    @property
    def active_refresh(self) -> Refresh | None:
        """The refresh under way."""
        last = self.refreshes[-1] if self.refreshes else None
        return last if last is not None and last.status in ACTIVE else None

    @property
    def launching(self) -> dict[str, Any]:
        """What new members are launched with: under a refresh with a desired configuration, that."""
        refresh = self.active_refresh
        if refresh is None or refresh.desired is None or refresh.status == "Cancelling":
            return self.launch
        return refresh.before if refresh.rolling_back else refresh.desired

    def runs(self, process: str) -> bool:
        """Whether a process is not suspended."""
        return process not in self.suspended


def new_group_arn(account: str, region: str, name: str) -> str:
    """The ARN of a new group."""
    return f"arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{uuid.uuid4()}:autoScalingGroupName/{name}"


def new_activity_id() -> str:
    """An activity's id."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def new_refresh_id() -> str:
    """A refresh's id."""
    return str(uuid.uuid4())
