"""moto's load balancers with real listeners: each has an address on loopback, every HTTP listener a port there."""

from __future__ import annotations

import sys
import threading
from typing import Any

from moto.elbv2.models import elbv2_backends

from invar.localcloud.addresses import free_address
from invar.localcloud.balancer import Listener
from invar.localcloud.instances import InstanceStore
from invar.localcloud.network import Network
from invar.localcloud.target_registry import TargetRegistry


class LoadBalancers:
    """The listeners of all regions. All methods are called with other threads kept out."""

    def __init__(
        self,
        account: str,
        registry: TargetRegistry,
        instances: InstanceStore,
        network: Network,
        lock: threading.RLock,
    ) -> None:
        self._account = account
        self._registry = registry
        self._instances = instances
        self._network = network
        self._lock = lock
        self._open: dict[str, Listener | None] = {}
        self.addresses: dict[str, str] = {}

    def name(self, region: str, balancer: Any) -> None:
        """Give a load balancer an address of its own, which is also its DNS name."""
        if balancer.arn not in self.addresses and balancer.dns_name.startswith("127."):
            self.addresses[balancer.arn] = balancer.dns_name
        if balancer.arn not in self.addresses:
            used = {one.address for one in self._instances.everything()} | set(self.addresses.values())
            subnet = next((one.id for one in balancer.subnets or ()), None)
            found = self._network.subnet(region, subnet) if subnet else self._network.default_subnet(region, None)
            self.addresses[balancer.arn] = free_address(found.cidr, used)
        balancer.dns_name = self.addresses[balancer.arn]

    def synchronise(self) -> None:
        """Open and close ports so that there is one for every HTTP listener."""
        wanted: dict[str, tuple[str, Any, Any]] = {}
        for region, backend in dict.items(elbv2_backends[self._account]):
            for balancer in backend.load_balancers.values():
                self.name(region, balancer)
                for arn, listener in balancer.listeners.items():
                    wanted[arn] = (region, balancer, listener)
        for arn in [one for one in self._open if one not in wanted]:
            self._shut(arn)
        for arn, (region, balancer, listener) in wanted.items():
            if arn not in self._open:
                self._open[arn] = self._listen(region, balancer, listener)

    def told(self) -> list[dict[str, Any]]:
        """Load balancers' addresses, for the control API."""
        return [{"arn": arn, "address": address} for arn, address in self.addresses.items()]

    def close(self) -> None:
        """Close all ports."""
        for arn in list(self._open):
            self._shut(arn)
        self.addresses.clear()

    def _shut(self, arn: str) -> None:
        listener = self._open.pop(arn)
        if listener is not None:
            threading.Thread(target=listener.close, daemon=True).start()

    def _listen(self, region: str, balancer: Any, listener: Any) -> Listener | None:
        if str(listener.protocol) != "HTTP":
            return None
        address, port = self.addresses[balancer.arn], int(listener.port)
        try:
            return Listener(address, port, lambda: self._targets(region, listener))
        except OSError as error:
            print(f"{balancer.arn}: no listener on {address}:{port}: {error}", file=sys.stderr, flush=True)
            return None

    def _targets(self, region: str, listener: Any) -> list[tuple[str, int]]:
        """Targets of the listener's default action: the healthy ones; where none is, all (it fails open)."""
        with self._lock:
            targets = [
                target
                for arn in _target_groups(listener.default_actions)
                if (group := self._registry.groups.get(arn)) is not None
                for target in group.targets.values()
            ]
            chosen = [one for one in targets if one.state == "healthy"] or [
                one for one in targets if one.state == "unhealthy"
            ]
            found = []
            for one in chosen:
                instance = self._instances.find(region, one.instance)
                if instance is not None and instance.state == "running":
                    found.append((instance.address, one.port))
            return found


def _target_groups(actions: list[Any]) -> list[str]:
    arns = []
    for action in actions:
        data = action.data
        if data.get("TargetGroupArn"):
            arns.append(data["TargetGroupArn"])
        else:
            for one in (data.get("ForwardConfig") or {}).get("TargetGroups") or []:
                arns.append(one["TargetGroupArn"])
    return arns
