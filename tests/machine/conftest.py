"""A metadata service on loopback: the one that local machines have, on a TCP port."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from invar.vm.metadata import Instance
from invar.vm.metadata_server import MetadataServer

INSTANCE = Instance(
    instance_id="i-0123456789abcdef0",
    image_id="ami-0123456789abcdef0",
    local_ipv4="10.0.0.15",
    mac="02:00:00:00:00:01",
    public_keys={"one": "ssh-ed25519 AAAA one", "two": "ssh-ed25519 BBBB two"},
    user_data=b"{ }\n",
    tags={"Name": "web", "role": "front"},
)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """`serve(user_data=..., ...)`: the endpoint of a service for an instance like INSTANCE, but for what is given."""
    with ExitStack() as stack:

        def start(**changes: object) -> str:
            listener = socket.create_server(("127.0.0.1", 0))
            stack.enter_context(MetadataServer(listener, replace(INSTANCE, **changes)))  # type: ignore[arg-type]
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start
