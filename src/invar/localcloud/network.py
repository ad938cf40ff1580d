"""What instances take from moto: subnets, security groups, key pairs, SSM parameters. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from invar.localcloud.errors import CloudError

MOST_PORTS_OF_A_RULE = 16


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet with its block of addresses as AWS would write it."""

    id: str
    zone: str
    zone_id: str
    vpc: str
    cidr: str


class Network:
    """The network of one account."""

    def __init__(self, account: str) -> None:
        self._account = account

    def subnet(self, region: str, identity: str) -> Subnet:
        """The subnet. Raises CloudError."""
        for zones in self._ec2(region).subnets.values():
            if identity in zones:
                return _subnet(zones[identity])
        raise CloudError("InvalidSubnetID.NotFound", f"The subnet ID '{identity}' does not exist")

    def default_subnet(self, region: str, zone: str | None) -> Subnet:
        """The default VPC's subnet in a zone, or in the first. Raises CloudError."""
        for name, zones in self._ec2(region).subnets.items():
            for one in zones.values():
                if one.default_for_az and zone in (None, name):
                    return _subnet(one)
        if zone is not None:
            raise CloudError("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
        raise CloudError("MissingInput", "No subnets found for the default VPC. Please specify a subnet.")

    def security_groups(
        self, region: str, vpc: str, ids: Sequence[str], names: Sequence[str]
    ) -> tuple[tuple[str, str], ...]:
        """(id, name) of the groups, or of the VPC's default group where none is named. Raises CloudError."""
        backend = self._ec2(region)
        found = []
        for identity in ids:
            group = backend.get_security_group_from_id(identity)
            if group is None:
                raise CloudError("InvalidGroup.NotFound", f"The security group '{identity}' does not exist")
            if group.vpc_id != vpc:
                raise CloudError(
                    "InvalidParameter", f"Security group {identity} and subnet belong to different networks."
                )
            found.append((group.id, group.name))
        for name in names or ([] if ids else ["default"]):
            group = backend.get_security_group_from_name(name, vpc)
            if group is None:
                raise CloudError("InvalidGroup.NotFound", f"The security group '{name}' does not exist")
            found.append((group.id, group.name))
        return tuple(found)

    def open_ports(self, region: str, groups: Sequence[tuple[str, str]]) -> list[int]:
        """TCP ports that rules of the groups name one by one, or in ranges of at most 16."""
        ports: list[int] = []
        backend = self._ec2(region)
        for identity, _ in groups:
            group = backend.get_security_group_from_id(identity)
            for rule in group.ingress_rules if group is not None else ():
                if str(rule.ip_protocol) not in ("tcp", "6") or rule.from_port is None:
                    continue
                first, last = int(rule.from_port), int(rule.to_port)
                if first > 0 and last - first < MOST_PORTS_OF_A_RULE:
                    ports.extend(range(first, last + 1))
        return ports

    def public_key(self, region: str, name: str) -> str:
        """The key pair's authorized_keys line, empty where EC2 made the pair itself. Raises CloudError."""
        pair = self._ec2(region).key_pairs.get(name)
        if pair is None:
            raise CloudError("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
        text = pair.public_key
        return str(text.decode() if isinstance(text, bytes) else text or "").strip()

    def zones(self, region: str) -> dict[str, str]:
        """Zone name → zone id."""
        return {one.zone: one.zone_id for one in self._subnets(region)}

    def parameter(self, region: str, name: str) -> str | None:
        """The value of an SSM parameter, `NAME`, `NAME:VERSION` or `NAME:LABEL`; None where there is none."""
        found = ssm_backends[self._account][region].get_parameters([name])
        return next((str(one.value) for one in found.values()), None)

    def _subnets(self, region: str) -> list[Subnet]:
        return [_subnet(one) for zones in self._ec2(region).subnets.values() for one in zones.values()]

    def _ec2(self, region: str) -> Any:
        return ec2_backends[self._account][region]


def _subnet(one: Any) -> Subnet:
    return Subnet(one.id, one.availability_zone, one.availability_zone_id, one.vpc_id, one.cidr_block)
