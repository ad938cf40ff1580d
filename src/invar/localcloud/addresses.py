"""Private addresses: those of the subnet, moved into 127.0.0.0/8, so that the host reaches instances at them."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Collection
from pathlib import Path

from invar.localcloud.errors import CloudError

RESERVED = 4
"""The first addresses of a subnet are EC2's own."""
TAKEN = ipaddress.ip_network("127.0.0.0/24")
"""The host's own services listen here."""
UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def loopback_network(cidr: str) -> ipaddress.IPv4Network:
    """172.31.16.0/20 becomes 127.31.16.0/20: only the first octet changes."""
    network = ipaddress.IPv4Network(cidr)
    return ipaddress.IPv4Network((network.network_address.packed[1:].rjust(4, b"\x7f"), network.prefixlen))


def free_address(cidr: str, used: Collection[str], wanted: str | None = None) -> str:
    """The first address of the subnet that nobody in any region uses, or `wanted` (as AWS or as we write it).

    Raises CloudError.
    """
    network = loopback_network(cidr)
    if wanted is not None:
        moved = ipaddress.IPv4Address(b"\x7f" + ipaddress.IPv4Address(wanted).packed[1:])
        if moved not in network:
            raise CloudError("InvalidParameterValue", f"Address {wanted} does not fall within the subnet's range.")
        if str(moved) in used:
            raise CloudError("InvalidIPAddress.InUse", f"Address {wanted} is in use.")
        return str(moved)
    first, last = int(network.network_address) + RESERVED, int(network.broadcast_address)
    for number in range(first, last):
        address = ipaddress.IPv4Address(number)
        if address not in TAKEN and str(address) not in used:
            return str(address)
    raise CloudError("InsufficientFreeAddressesInSubnet", "There are not enough free addresses in the subnet.")


def may_listen(port: int) -> bool:
    """Whether this user may open a port: below net.ipv4.ip_unprivileged_port_start only root may."""
    return os.geteuid() == 0 or port >= int(UNPRIVILEGED.read_text())


def is_free(address: str, port: int) -> bool:
    """Whether nobody listens there now."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address, port))
        except OSError:
            return False
    return True
