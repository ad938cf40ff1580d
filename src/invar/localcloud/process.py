"""Starting and stopping the local cloud from another process, and talking to its control API."""

from __future__ import annotations

import http.client
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.localcloud.record import CloudRecord, read_record

START_SECONDS = 60.0
STOP_SECONDS = 20.0
CONTROL_SECONDS = 30.0
KEPT_ON_RESET = frozenset({"lock", "cloud.log", "port"})


def start(root: Path, port: int = 0) -> CloudRecord:
    """Start the cloud whose state is in `root`, or find it running. Returns once it answers.

    Raises InvarError with the end of its log when it does not come up within a minute.
    """
    running = status(root)
    if running is not None:
        return running
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "invar.localcloud", "--root", str(root), "--port", str(port)]
    with (root / "cloud.log").open("ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    ended = _ProcessEnd(process.pid)
    try:
        while time.monotonic() < deadline:
            record = status(root)
            if record is not None and record.pid == process.pid:
                return record
            if ended.poll(50) and process.poll() is not None:
                break
        else:
            process.kill()
    finally:
        os.close(ended.descriptor)
    process.wait()
    raise InvarError(
        "the local cloud did not start",
        where=str(root),
        why=_tail(root / "cloud.log"),
        hint="python -m invar.localcloud --help",
    )


def status(root: Path) -> CloudRecord | None:
    """The running cloud's record, or None. A record that a killed cloud left does not count."""
    record = read_record(root)
    if record is None:
        return None
    try:
        answer = control(record, "GET", "health")
    except InvarError:
        return None
    return record if answer.get("instance") == record.instance else None


def stop(root: Path) -> bool:
    """Stop the cloud, its state written. False if it was not running. Raises InvarError when it does not end."""
    record = status(root)
    if record is None:
        return False
    ended = _ProcessEnd(record.pid)
    try:
        os.kill(record.pid, signal.SIGTERM)
        if not ended.poll(int(STOP_SECONDS * 1000)):
            raise InvarError(
                "the local cloud does not stop", where=f"process {record.pid}", hint="kill it; its state is safe"
            )
    finally:
        os.close(ended.descriptor)
    return True


def reset(root: Path) -> None:
    """Forget everything that the cloud knows, whether it runs or not."""
    record = status(root)
    if record is not None:
        control(record, "POST", "reset")
        return
    if root.is_dir():
        for path in root.iterdir():
            if path.name not in KEPT_ON_RESET:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def control(record: CloudRecord, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One call of the control API (see control.py). Raises InvarError when nobody answers or the call is refused."""
    where = f"{method} {record.url}/_invar/{path}"
    connection = http.client.HTTPConnection(record.address, record.port, timeout=CONTROL_SECONDS)
    try:
        connection.request(method, f"/_invar/{path}", None if body is None else json.dumps(dict(body)))
        response = connection.getresponse()
        value = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InvarError("the local cloud does not answer", where=where, why=str(error)) from error
    finally:
        connection.close()
    if response.status != 200 or not isinstance(value, dict):
        raise InvarError("the local cloud refused", where=where, why=str(value.get("error", value)))
    return value


class _ProcessEnd:
    """Waits for the end of a process that need not be our child (pidfd_open(2))."""

    def __init__(self, pid: int) -> None:
        self.descriptor = os.pidfd_open(pid)
        self._poll = select.poll()
        self._poll.register(self.descriptor, select.POLLIN)

    def poll(self, milliseconds: int) -> bool:
        """Whether it ended within that time."""
        return bool(self._poll.poll(milliseconds))


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-12:])
    except FileNotFoundError:
        return "it left no log"
