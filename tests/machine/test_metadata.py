"""The metadata client against the local metadata service, and against services that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from invar.core.errors import InvarError
from invar.machine import metadata
from invar.machine.metadata import Facts, Metadata, connect, read_facts


def test_all_facts_of_an_instance(serve: Callable[..., str]) -> None:
    session = connect(5, [serve()])
    assert session is not None
    assert read_facts(session) == Facts(
        instance_id="i-0123456789abcdef0",
        host_name="ip-10-0-0-15.ec2.internal",
        region="us-east-1",
        public_keys=("ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"),
        tags={"Name": "web", "role": "front"},
        user_data=b"{ }\n",
    )


def test_what_is_absent_is_none(serve: Callable[..., str]) -> None:
    session = connect(5, [serve(user_data=None, public_keys={}, tags={})])
    assert session is not None
    facts = read_facts(session)
    assert (facts.user_data, facts.public_keys, facts.tags) == (None, (), {})


def test_the_second_endpoint_is_asked_where_the_first_is_silent(serve: Callable[..., str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        session = connect(5, [dead, serve()])
    assert session is not None and session.endpoint != dead


def test_ipv6_works(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        server = HTTPServer.__new__(HTTPServer)
        server.address_family = socket.AF_INET6
        server.__init__(("::1", 0), _Stubborn)  # type: ignore[misc]
    except OSError:
        pytest.skip("no IPv6 on loopback")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session = connect(5, [f"http://[::1]:{server.server_address[1]}"])
        server.shutdown()
    assert session is not None


def test_no_service_is_no_session() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert connect(0, [f"http://127.0.0.1:{closed.getsockname()[1]}"]) is None


def test_an_expired_token_is_renewed(serve: Callable[..., str]) -> None:
    assert Metadata(serve(), "not a token").text("meta-data/instance-id") == "i-0123456789abcdef0"


class _Stubborn(BaseHTTPRequestHandler):
    """Gives tokens and nothing else."""

    def do_PUT(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"token")

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


def test_a_service_that_answers_with_errors_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "_FIRST_PAUSE", 0.01)
    with HTTPServer(("127.0.0.1", 0), _Stubborn) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session = connect(5, [f"http://127.0.0.1:{server.server_address[1]}"])
        assert session is not None
        with pytest.raises(InvarError) as refused:
            session.get("user-data")
        server.shutdown()
    assert "does not give user-data" in str(refused.value) and "status 503" in str(refused.value)
