"""The life of instances: pending, running, stopping, stopped, shutting down, terminated; machines follow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from invar.localcloud import simulated
from invar.localcloud.addresses import is_free, may_listen
from invar.localcloud.behaviour import Behaviour
from invar.localcloud.clock import Clock, Timers
from invar.localcloud.errors import CloudError
from invar.localcloud.hypervisor import Boot
from invar.localcloud.instance_types import find_type
from invar.localcloud.instances import NEVER, Instance, InstanceStore
from invar.localcloud.network import Network
from invar.localcloud.settings import Settings
from invar.system.proof import CONSOLE_PREFIX
from invar.vm.metadata import Instance as Metadata
from invar.vm.probes import Look
from invar.vm.qemu import Identity

USER_STOP = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
SELF_STOP = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
)
LOOK_SECONDS = 1.0
"""How often machines are looked at while something about them is expected."""


class Machines(Protocol):
    """What the lifecycle asks of a hypervisor (hypervisor.Hypervisor); a cloud of simulated instances has none."""

    def start(self, boot: Boot) -> None: ...
    def stop(self, instance: str) -> None: ...
    def terminate(self, instance: str) -> None: ...
    def reboot(self, boot: Boot) -> None: ...
    def phase(self, instance: str) -> tuple[str, str]: ...
    def console(self, instance: str) -> bytes: ...
    def look(self, instance: str, port: int) -> Look: ...


class Lifecycle:
    """Moves instances through their states."""

    def __init__(
        self, instances: InstanceStore, network: Network, clock: Clock, timers: Timers, machines: Machines | None
    ) -> None:
        self._instances = instances
        self._network = network
        self._clock = clock
        self._timers = timers
        self._machines = machines
        self.settings = Settings()

    def start(self, instance: Instance) -> None:
        """Power on an instance that is new or was stopped."""
        now = self._clock.now()
        instance.state, instance.reason, instance.ended = "pending", None, None
        instance.running = instance.booted = None
        instance.until = instance.boots_at = NEVER
        if instance.kind == "simulated":
            simulated.started(instance, now, self.settings)
            self._timers.at(instance.until, instance.region)
            return
        if self._machines is None:
            raise CloudError("Unsupported", "This cloud has no machines: its instances are simulated.")
        self._machines.start(self._boot(instance))
        self._timers.at(now + LOOK_SECONDS, instance.region)

    def terminate(self, instance: Instance, reason: tuple[str, str] = USER_STOP) -> None:
        """Begin to end an instance; nothing happens to one that is ending or has ended."""
        if not instance.alive:
            return
        now = self._clock.now()
        if instance.kind == "machine" and self._machines is not None:
            self._machines.terminate(instance.id)
        instance.state, instance.reason = "shutting-down", reason
        instance.until = now + self.settings.shutdown_seconds
        self._timers.at(instance.until, instance.region)
        self._timers.soon(now, instance.region)

    def stop(self, instance: Instance, reason: tuple[str, str] = USER_STOP) -> None:
        """Begin to stop a running instance."""
        now = self._clock.now()
        if instance.kind == "machine" and self._machines is not None:
            self._machines.stop(instance.id)
        instance.state, instance.reason = "stopping", reason
        instance.until = now + self.settings.shutdown_seconds
        self._timers.at(instance.until, instance.region)

    def reboot(self, instance: Instance) -> None:
        """Restart the operating system; the instance stays running."""
        now = self._clock.now()
        instance.boots += 1
        if instance.kind == "machine" and self._machines is not None:
            self._machines.reboot(self._boot(instance))
            instance.booted = None
        elif instance.boots_at != NEVER:
            seconds = instance.behaviour.boot_seconds
            instance.boots_at = now + (self.settings.boot_seconds if seconds is None else seconds)
            instance.booted = instance.boots_at

    def behave(self, instance: Instance, behaviour: Behaviour) -> None:
        """A simulated instance behaves differently from now on; its seconds count from when it was running."""
        instance.behaviour = behaviour
        for when in (self._clock.now(), *self._troubles(instance)):
            self._timers.at(when, instance.region)

    def step(self, region: str) -> None:
        """Do what is due in a region."""
        now = self._clock.now()
        for instance in self._instances.of_region(region):
            if instance.state == "terminated":
                if instance.ended is not None and now >= instance.ended + self.settings.forget_seconds:
                    self._instances.forget(instance)
            elif instance.kind == "machine":
                self._step_machine(instance, now)
            else:
                self._step_simulated(instance, now)

    def console(self, instance: Instance) -> bytes:
        """What its console shows."""
        if instance.kind == "machine":
            return b"" if self._machines is None else self._machines.console(instance.id)
        return simulated.console_of(instance, self._clock.now())

    def answers(self, instance: Instance, port: int) -> Look:
        """Whether a TCP port of the instance accepts connections."""
        if instance.kind == "machine":
            if self._machines is None or instance.state != "running":
                return Look(False, "the instance does not run")
            return self._machines.look(instance.id, port)
        if simulated.answers(instance, self._clock.now()):
            return Look(True, "accepts")
        return Look(False, "the connection was refused")

    def _step_simulated(self, instance: Instance, now: float) -> None:
        if instance.state == "pending" and now >= instance.until:
            self._runs(instance, instance.until)
            instance.booted = None if instance.boots_at == NEVER else instance.boots_at
            for when in (instance.boots_at, *self._troubles(instance)):
                self._timers.at(when, instance.region)
        if instance.state == "running":
            dies = instance.behaviour.dies_after
            if dies is not None and instance.running is not None and now >= instance.running + dies:
                self._shut_down(instance)
        if now >= instance.until:
            self._ended(instance, instance.until)

    def _step_machine(self, instance: Instance, now: float) -> None:
        if self._machines is None:
            return
        phase, why = self._machines.phase(instance.id)
        if instance.state == "pending":
            if phase == "running":
                self._runs(instance, now)
            elif phase == "failed":
                instance.reason = ("Server.InternalError", f"Server.InternalError: {why}")
                self._ended(instance, now, "terminated")
        elif instance.state == "running":
            if phase == "failed" or (phase == "stopped" and why):
                if phase == "failed":
                    self.terminate(instance, ("Server.InternalError", f"Server.InternalError: {why}"))
                else:
                    self._shut_down(instance)
            elif instance.booted is None and self.has_booted(instance):
                instance.booted = now
        elif now >= instance.until and phase != "running":
            self._ended(instance, now)
        if instance.state not in ("terminated", "stopped"):
            self._timers.at(now + LOOK_SECONDS, instance.region)

    def has_booted(self, instance: Instance) -> bool:
        """Whether the machine's system is up: its console shows a proof, or asks for a login."""
        console = self.console(instance)
        return CONSOLE_PREFIX.encode() in console or b" login: " in console

    def _troubles(self, instance: Instance) -> list[float]:
        start = instance.running or 0.0
        faults = instance.behaviour
        return [
            start + seconds
            for seconds in (faults.unhealthy_after, faults.impaired_after, faults.dies_after)
            if seconds is not None
        ]

    def _runs(self, instance: Instance, now: float) -> None:
        instance.state, instance.running, instance.until = "running", now, NEVER

    def _shut_down(self, instance: Instance) -> None:
        """It switched itself off."""
        if instance.shutdown_behaviour == "terminate":
            self.terminate(instance, SELF_STOP)
        else:
            self.stop(instance, SELF_STOP)

    def _ended(self, instance: Instance, now: float, state: str | None = None) -> None:
        if instance.state == "stopping":
            instance.state, instance.until = "stopped", NEVER
            instance.running = instance.booted = None
        elif instance.state == "shutting-down" or state == "terminated":
            instance.state, instance.until, instance.ended = "terminated", NEVER, now
            self._timers.at(now + self.settings.forget_seconds, instance.region)

    def _boot(self, instance: Instance) -> Boot:
        kind = find_type(instance.type)
        assert instance.snapshot is not None
        open_ports = tuple(port for port in instance.ports if may_listen(port) and is_free(instance.address, port))
        instance.closed_ports = tuple(port for port in instance.ports if port not in open_ports)
        return Boot(
            instance=instance.id,
            region=instance.region,
            snapshot=instance.snapshot,
            disk_gib=instance.disk_gib,
            address=instance.address,
            ports=open_ports,
            memory=int(self.settings.machine_memory) or kind.memory,
            cpus=kind.cpus,
            metadata=self._metadata(instance),
        )

    def _metadata(self, instance: Instance) -> Metadata:
        shown = instance.tags if instance.metadata_options.get("InstanceMetadataTags") == "enabled" else {}
        keys = {}
        if instance.key is not None:
            line = self._network.public_key(instance.region, instance.key)
            keys = {instance.key: line} if line else {}
        return Metadata(
            instance_id=instance.id,
            image_id=instance.image,
            local_ipv4=instance.address,
            mac=mac_of(instance.id),
            public_keys=keys,
            user_data=instance.user_data,
            instance_type=instance.type,
            architecture=instance.architecture,
            region=instance.region,
            availability_zone=instance.zone,
            availability_zone_id=self._network.zones(instance.region).get(instance.zone, ""),
            account_id=instance.account,
            pending_time=_iso(instance.launched),
            tags=dict(shown),
        )


def mac_of(instance: str) -> str:
    """The address of the instance's network card."""
    return Identity.of_instance(instance).mac


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
