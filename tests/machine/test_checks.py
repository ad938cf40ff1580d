"""Checks run from inside, against real sockets and programs of this computer."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.machine.checks import Look, declared, look_at_unit, run_checks, units_of_listing
from invar.system.record import Check


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 503)
        self.end_headers()
        self.wfile.write(b"production answers")

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def outcome(check: Check, seconds: float = 0.0) -> tuple[str, str]:
    (result,) = run_checks([check], time.monotonic() + seconds, Report())
    assert result.name == check.name
    return result.state, result.message


def test_each_kind_tells_right_from_wrong(port: int) -> None:
    good = [
        Check("page", "http", 5, port=port, path="/", status=200, body="production"),
        Check("gone", "http", 5, port=port, path="/gone", status=503),
        Check("listens", "tcp", 5, port=port),
        Check("program", "command", 5, command=("true",)),
    ]
    bad = [
        (Check("page", "http", 5, port=port, path="/", status=404), "status 200, not 404: production answers"),
        (Check("page", "http", 5, port=port, path="/", body="staging"), "the body lacks 'staging'"),
        (Check("listens", "tcp", 5, port=1), "Connection refused"),
        (Check("program", "command", 5, command=("sh", "-c", "echo why; exit 3")), "exit status 3: why"),
        (Check("program", "command", 5, command=("/no/such/program",)), "No such file"),
        (Check("slow", "command", 1, command=("sleep", "60")), "not done within 1 s"),
    ]
    assert [result.state for result in run_checks(good, time.monotonic() + 5, Report())] == ["passed"] * 4
    for check, why in bad:
        state, message = outcome(check)
        assert state == "failed" and why in message


def test_a_check_is_looked_at_until_it_passes(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    timer = threading.Timer(0.5, flag.touch)
    timer.start()
    assert outcome(Check("flag", "command", 60, command=("test", "-e", str(flag))), seconds=60) == ("passed", "")
    timer.join()


def test_results_keep_the_order_of_the_checks() -> None:
    checks = [Check(f"c{n}", "command", 5, command=("sleep", str(0.2 - n / 20))) for n in range(4)]
    assert [result.name for result in run_checks(checks, time.monotonic() + 5, Report())] == ["c0", "c1", "c2", "c3"]


@pytest.mark.parametrize(
    ("output", "status", "look"),
    [
        ("LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n", 0, Look(True)),
        ("LoadState=not-found\nActiveState=inactive\n", 0, Look(False, "there is no unit a.service", final=True)),
        (
            "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n",
            0,
            Look(False, "a.service is failed (failed, result exit-code)"),
        ),
        ("Failed to connect to bus\n", 1, Look(False, "Failed to connect to bus")),
    ],
)
def test_what_systemd_says_of_a_unit(output: str, status: int, look: Look) -> None:
    assert look_at_unit("a.service", output, status) == look


def test_failed_units_are_the_first_words_of_the_listing() -> None:
    assert units_of_listing("nginx.service loaded failed failed A web server\n\nx.mount loaded failed failed X\n") == (
        "nginx.service",
        "x.mount",
    )


def test_declared_checks_are_those_of_etc(tmp_path: Path) -> None:
    path = tmp_path / "checks.json"
    assert declared(path) == ()
    path.write_text(json.dumps([{"name": "a", "kind": "unit", "timeout": 3, "unit": "a.service", "port": None}]))
    assert declared(path) == (Check("a", "unit", 3, unit="a.service"),)
    path.write_text("[{]")
    with pytest.raises(InvarError, match="list of checks"):
        declared(path)


def test_no_checks_are_no_results() -> None:
    assert run_checks([], 0.0, Report()) == ()


def test_who_interrupts_them_waits_for_none(tmp_path: Path) -> None:
    """A check that would take ten minutes, and what runs beside it, ends with who asked for it."""
    looks = tmp_path / "looks"
    never = Check("never", "command", 600, command=("sh", "-c", f"echo >>{looks}; exit 1"))
    threading.Timer(0.5, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_checks([never], time.monotonic() + 600, Report())
    while any(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate()):
        time.sleep(0.05)
    assert looks.exists()
