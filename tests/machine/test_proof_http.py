"""The HTTP answerer on a real connection, with a gatherer that answers on a unix socket as systemd would start it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from invar.machine.proof_http import answer

PROOF = '{"schema":1,"nonce":"%s"}'


@pytest.fixture
def gatherer(tmp_path: Path) -> Iterator[str]:
    """Repeats the nonce of each question; hangs up on "none"."""
    path = str(tmp_path / "proof.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, connection.makefile("r") as lines:
                    nonce = lines.readline().strip()
                    if nonce != "none":
                        connection.sendall((PROOF % nonce).encode() + b"\n")

        threading.Thread(target=serve, daemon=True).start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)


def ask(gatherer: str, request: bytes) -> tuple[int, str]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        theirs.settimeout(10)
        ours.sendall(request)
        answer(theirs, gatherer)
        theirs.close()
        text = b""
        while chunk := ours.recv(65536):
            text += chunk
    head, _, body = text.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def test_the_nonce_comes_back(gatherer: str) -> None:
    assert ask(gatherer, b"GET /proof?nonce=7f3a HTTP/1.1\r\nHost: x\r\n\r\n") == (200, PROOF % "7f3a" + "\n")
    assert ask(gatherer, b"GET /proof HTTP/1.0\r\n\r\n") == (200, PROOF % "" + "\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.0", 404),
        (b"GET /proof/../etc HTTP/1.0", 404),
        (b"GET /proof?nonce=" + b"a" * 129 + b" HTTP/1.0", 400),
        (b"GET /proof?nonce=a%0Ab HTTP/1.0", 400),
        (b"GET /proof?nonce=a&nonce=b HTTP/1.0", 400),
        (b"GET /proof?nonce=none HTTP/1.0", 503),
        (b"POST /proof HTTP/1.0", 501),
        (b"PUT /proof HTTP/1.1", 501),
    ],
)
def test_anything_else_is_refused(gatherer: str, request_line: bytes, status: int) -> None:
    assert ask(gatherer, request_line + b"\r\n\r\n")[0] == status


def test_without_a_gatherer_there_is_no_proof(tmp_path: Path) -> None:
    assert ask(str(tmp_path / "absent.sock"), b"GET /proof HTTP/1.0\r\n\r\n")[0] == 503
