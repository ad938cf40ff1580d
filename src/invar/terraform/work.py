"""Long work in a process of its own, so that Terraform's Ctrl-C reaches it as an order, not as a signal to everybody.

The child (`invar.terraform.worker`) reads one JSON request and writes one JSON object a line: events, then a result, an
error, or how it was left when it was interrupted. Everything it says goes into a log file that diagnostics name:
Terraform itself shows only "Still creating".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from invar.core.errors import InvarError
from invar.terraform.diagnostics import Diagnostic, Refused, of_error
from invar.terraform.resource import Context

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 90.0
"""After Ctrl-C: how long the work may take to leave everything whole, before it is killed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: `verb` names a function of the worker's, `arguments` are plain JSON data.

    `attribute` is what a diagnostic points at; `label` names the log.
    """

    verb: str
    arguments: dict[str, Any]
    label: str
    attribute: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What a job gave (plain JSON data), and the file that tells how."""

    result: Any
    log: str


def run(context: Context, job: Job) -> Done:
    """Do a job. Raises Refused with a diagnostic that names the log file."""
    with _log_file(context, job.label) as (log, path):
        command = [sys.executable, "-I", "-m", "invar.terraform.worker"]
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            env={**context.environment, "INVAR_HOME": str(context.home.root)},
        )
        watcher = threading.Thread(target=_pass_on_stop, args=(context.stopped, child), daemon=True)
        watcher.start()
        try:
            answer = _converse(child, job, context, log)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
            watcher.join()
        if context.stopped.is_set() and "result" not in answer:
            left = answer.get("interrupted") or "Nothing is half-made; apply again to go on."
            raise Refused(Diagnostic("Interrupted", f"{left}\nlog: {path}", job.attribute))
        if "error" in answer:
            raise Refused(of_error(InvarError(**answer["error"]), job.attribute, str(path)))
        if "result" not in answer:
            why = f"it ended with code {child.returncode}\n{_tail(path)}\nlog: {path}"
            raise Refused(Diagnostic(f"The work of {job.label} ended without an answer", why, job.attribute))
        return Done(answer["result"], str(path))


def _converse(child: subprocess.Popen[str], job: Job, context: Context, log: IO[str]) -> dict[str, Any]:
    assert child.stdin is not None and child.stdout is not None
    request = {
        "verb": job.verb,
        "arguments": job.arguments,
        "account": dict(context.account),
        "mirrors": list(context.mirrors),
    }
    try:
        with child.stdin as pipe:
            pipe.write(json.dumps(request))
    except BrokenPipeError:
        return {}
    answer: dict[str, Any] = {}
    for line in child.stdout:
        said = json.loads(line)
        if "event" in said:
            log.write(f"{datetime.now(UTC):%H:%M:%S} {said['event']}\n")
            log.flush()
        else:
            answer = said
    child.wait()
    return answer


def _pass_on_stop(stopped: threading.Event, child: subprocess.Popen[str]) -> None:
    """Interrupt the child once Terraform says stop; kill it if it does not end then."""
    while child.poll() is None:
        if stopped.wait(POLL_SECONDS):
            child.send_signal(signal.SIGINT)
            try:
                child.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
            return


@contextmanager
def _log_file(context: Context, label: str) -> Iterator[tuple[IO[str], Path]]:
    directory = context.home.root / "logs"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    readable = "".join(c if c.isalnum() or c in "-." else "-" for c in label)
    path = directory / f"terraform-{readable}-{os.getpid()}.log"
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {label}\n")
        yield log, path


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
