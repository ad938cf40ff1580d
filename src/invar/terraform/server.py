"""The plugin process: a gRPC server on a unix socket that lives as long as Terraform wants it.

Besides the provider's service it answers go-plugin's own: `plugin.GRPCController/Shutdown`, and the standard health
check that tells that the plugin serves (hashicorp/go-plugin, `grpc_controller.proto`, `grpc_server.go`).
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from invar.core.home import Home
from invar.terraform.dispatch import Dispatcher, Provider
from invar.terraform.handshake import check_started_by_terraform, handshake_line, own_certificate
from invar.terraform.messages import METHODS, SERVICE, TABLES, request_table, response_table
from invar.terraform.protobuf import decode, encode

WORKERS = 16
MESSAGE_BYTES = 256 * 1024 * 1024
SERVING = b"\x08\x01"
"""grpc.health.v1.HealthCheckResponse { status: SERVING }."""


def serve(
    home: Home, make_provider: Callable[[threading.Event], Provider], environment: Mapping[str, str] | None = None
) -> None:
    """Serve until Terraform says stop, or is gone. Raises InvarError when Terraform has not started this process."""
    env = os.environ if environment is None else environment
    check_started_by_terraform(env)
    # Ctrl-C reaches the whole process group; Terraform then tells its plugins what to do by StopProvider.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended, stopped = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    dispatcher = Dispatcher(make_provider(stopped), stopped.set, lambda text: _keep_crash(home, text))
    certificate = own_certificate(home.keys)
    credentials = grpc.ssl_server_credentials([(certificate.key, certificate.certificate)])
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(WORKERS, thread_name_prefix="terraform"), options=options)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SERVICE, {name: _method(name, dispatcher) for name in METHODS}),
            grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": _raw(lambda: _set(ended))}),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": _raw(lambda: SERVING)}),
        )
    )
    with tempfile.TemporaryDirectory(prefix="invar-terraform-") as directory:
        socket = Path(directory) / "provider"
        server.add_secure_port(f"unix:{socket}", credentials)
        server.start()
        sys.stdout.write(handshake_line(socket, certificate) + "\n")
        sys.stdout.flush()
        parent = os.getppid()
        while not ended.wait(2.0):
            if os.getppid() != parent:
                break
        stopped.set()
        server.stop(grace=5.0).wait()


def _method(name: str, dispatcher: Dispatcher) -> Any:
    def answer(request: dict[str, Any], context: grpc.ServicerContext) -> dict[str, Any]:
        return dispatcher.answer(name, request)

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=lambda data: decode(TABLES, request_table(name), data),
        response_serializer=lambda message: encode(TABLES, response_table(name), message),
    )


def _raw(answer: Callable[[], bytes]) -> Any:
    return grpc.unary_unary_rpc_method_handler(lambda request, context: answer())


def _set(event: threading.Event) -> bytes:
    event.set()
    return b""


def _keep_crash(home: Home, text: str) -> str:
    path = home.root / "logs" / f"terraform-crash-{os.getpid()}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)
    return str(path)
