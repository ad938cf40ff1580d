"""What can be set on a running cloud: its delays, limits, and what kind of instance it launches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DAY = 86400.0
KINDS = ("machine", "simulated")


@dataclass(frozen=True, slots=True)
class Settings:
    """Delays in seconds of the cloud's clock; limits as AWS sets them for a new account.

    `hidden_calls`: how many EBS direct calls after StartSnapshot answer that the snapshot does not exist.
    `concurrent_copies`: snapshot copies under way per destination region. `pending_snapshots`: per region.

    `instance_kind`: what RunInstances and groups launch where no tag `invar:kind` says otherwise, "machine" (QEMU) or
    "simulated". A simulated instance is pending for `pending_seconds` and then boots for `boot_seconds`; every instance
    shuts down in `shutdown_seconds` at least and is shown as terminated for `forget_seconds`. `instance_limit` is per
    region. `machine_memory` in MiB replaces what the instance type has (0: the type's). An instance refresh that makes
    no progress for `refresh_stall_seconds` fails. `health_check_seconds` replaces the interval of every target group
    (0: the group's own). `real_ports` 0: load balancers open no ports.
    """

    complete_seconds: float = 0.0
    copy_seconds: float = 0.5
    register_seconds: float = 0.0
    hidden_calls: int = 0
    block_token_seconds: float = 7 * DAY
    page_token_seconds: float = 3600.0
    concurrent_copies: int = 20
    pending_snapshots: int = 100
    instance_kind: str = "machine"
    pending_seconds: float = 4.0
    boot_seconds: float = 20.0
    shutdown_seconds: float = 2.0
    forget_seconds: float = 3600.0
    instance_limit: int = 5000
    machine_memory: int = 0
    refresh_stall_seconds: float = 3600.0
    health_check_seconds: float = 0.0
    real_ports: int = 1

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some replaced. Raises ValueError for an unknown name or a value of the wrong kind."""
        kinds = {field.name: type(getattr(self, field.name)) for field in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in kinds:
                raise ValueError(f"no setting is called {name}; there are {', '.join(kinds)}")
            if name == "instance_kind":
                if value not in KINDS:
                    raise ValueError(f"instance_kind is one of {', '.join(KINDS)}, not {value!r}")
                continue
            if isinstance(value, bool) or not isinstance(value, (int, kinds[name])) or value < 0:
                raise ValueError(f"{name} takes a number from 0 up, not {value!r}")
        return dataclasses.replace(self, **{name: kinds[name](value) for name, value in changes.items()})
