"""Health probes: of machines for real, from the local cloud to their ports; of simulated instances by what they are."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from invar.localcloud import simulated
from invar.localcloud.clock import Clock, Timers
from invar.localcloud.instances import Instance, InstanceStore
from invar.localcloud.lifecycle import Lifecycle
from invar.localcloud.settings import Settings
from invar.localcloud.target_registry import Check, Target, TargetRegistry, judged

AT_ONCE = 16
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of a machine that is due."""

    arn: str
    key: tuple[str, int]
    instance: Instance
    check: Check


class Prober:
    """Counts probes into the registry. All methods but `send` are called with other threads kept out."""

    def __init__(
        self, registry: TargetRegistry, instances: InstanceStore, lifecycle: Lifecycle, clock: Clock, timers: Timers
    ) -> None:
        self._registry = registry
        self._instances = instances
        self._lifecycle = lifecycle
        self._clock = clock
        self._timers = timers
        self.settings = Settings()

    def step(self, region: str) -> None:
        """Probe the simulated targets of a region that are due. All of a group are probed at the same moments."""
        now = self._clock.now()
        for arn, group in self._registry.groups.items():
            if group.region != region or not group.targets:
                continue
            check = self._registry.check(region, arn, self.settings.health_check_seconds)
            if check is None:
                group.targets.clear()
                continue
            tick = now // check.interval * check.interval
            for target in group.targets.values():
                instance = self._instances.find(region, target.instance)
                if target.state == "draining" or (instance is not None and instance.kind == "machine"):
                    continue
                if target.probed < tick or target.probed == 0.0:
                    target.probed = now
                    passed = instance is not None and simulated.answers(instance, now)
                    self._count(target, passed, "" if passed else "the connection was refused", check)
            self._timers.at(tick + check.interval, region)

    def due(self) -> list[Probe]:
        """Probes of machines that are due; each is counted as begun."""
        now = self._clock.now()
        found = []
        for arn, group in self._registry.groups.items():
            check = self._registry.check(group.region, arn, self.settings.health_check_seconds)
            for key, target in group.targets.items():
                instance = self._instances.find(group.region, target.instance)
                if check is None or instance is None or instance.kind != "machine" or target.state == "draining":
                    continue
                if now >= target.probed + check.interval:
                    target.probed = now
                    found.append(Probe(arn, key, instance, check))
        return found

    def send(self, probe: Probe) -> tuple[bool, str]:
        """Probe a machine. Takes as long as the check's timeout at most, and a little."""
        port = probe.check.port or probe.key[1]
        if probe.check.protocol not in ("HTTP", "HTTPS"):
            look = self._lifecycle.answers(probe.instance, port)
            return look.passed, "" if look.passed else look.seen
        connection = http.client.HTTPConnection(probe.instance.address, port, timeout=probe.check.timeout)
        try:
            connection.request("GET", probe.check.path, headers={"User-Agent": "ELB-HealthChecker/2.0"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return False, f"{type(error).__name__}"
        finally:
            connection.close()
        if _allowed(status, probe.check.codes):
            return True, ""
        return False, f"Health checks failed with these codes: [{status}]"

    def record(self, probe: Probe, passed: bool, why: str) -> None:
        """Count the outcome of a probe."""
        group = self._registry.groups.get(probe.arn)
        target = group.targets.get(probe.key) if group else None
        if group is not None and target is not None and target.state != "draining":
            before = target.state
            self._count(target, passed, why, probe.check)
            if target.state != before:
                self._timers.soon(self._clock.now(), group.region)

    @staticmethod
    def _count(target: Target, passed: bool, why: str, check: Check) -> None:
        target.state, target.streak = judged(target, passed, check)
        target.why = why


class ProbeThread:
    """Sends the probes that are due, in threads of its own, until it is closed."""

    def __init__(self, prober: Prober, lock: threading.RLock, changed: Callable[[], None]) -> None:
        self._prober = prober
        self._lock = lock
        self._changed = changed
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, once the probes under way have."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as workers:
            while not self._closing.wait(LOOK_SECONDS):
                with self._lock:
                    due = self._prober.due()
                for probe in due:
                    workers.submit(self._one, probe)

    def _one(self, probe: Probe) -> None:
        passed, why = self._prober.send(probe)
        with self._lock:
            self._prober.record(probe, passed, why)
        self._changed()


def _allowed(status: int, codes: str) -> bool:
    """Whether a matcher as "200", "200,302" or "200-299" allows a status."""
    for part in codes.split(","):
        first, _, last = part.strip().partition("-")
        if int(first) <= status <= int(last or first):
            return True
    return False
