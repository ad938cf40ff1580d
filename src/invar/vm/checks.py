"""Runs a system's checks against a machine: from outside through its forwarded ports, inside by ssh as root."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.system.record import Check
from invar.vm import inside_probes
from invar.vm.console import Console, did_not_come_up, ended, tail
from invar.vm.inside import Inside, LoginRefused, SshInside
from invar.vm.probes import Look, Outside
from invar.vm.record import Machine
from invar.vm.ssh import SSH_PORT, SshAccess

BOOT_SECONDS = 300.0
AUTOMATIC_SECONDS = 120.0

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 1.0
_PAUSE_GROWTH = 1.5
_REFUSED_PAUSE = 6.0
"""After a refused login: sshd shuts out for a while who fails more often than every 5 s (PerSourcePenalties)."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How a check ended.

    `seconds` count from the start of all checks. `why` is the last answer of a failed one, `evidence` what the
    machine's own records say about it.
    """

    name: str
    kind: str
    passed: bool
    seconds: float
    why: str | None = None
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The results in the order of the checks.

    `boot_seconds` is when the machine was first reached, None if never. `console` is the console's tail if nobody could
    log in.
    """

    results: tuple[CheckResult, ...]
    boot_seconds: float | None
    console: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(result.passed for result in self.results)

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        results = [{name: getattr(result, name) for name in result.__dataclass_fields__} for result in self.results]
        return {"passed": self.passed, "boot_seconds": self.boot_seconds, "checks": results}

    def error(self, machine: Machine) -> InvarError:
        """The failed checks as one error for the user."""
        failed = [result for result in self.results if not result.passed]
        lines = [line for result in failed for line in _told(result)]
        if self.console:
            lines.append(self.console)
        return InvarError(
            f"{len(failed)} of {len(self.results)} checks failed",
            where=f"machine {machine.name}",
            why="\n".join(lines),
            hint=f"`invar ssh {machine.name}` and `invar console {machine.name}` lead into a machine that still runs",
        )


def guest_ports(checks: Sequence[Check], extra: Sequence[int] = ()) -> tuple[int, ...]:
    """The guest ports to forward for these checks: ssh's, those that they name, and `extra`."""
    return tuple(sorted({SSH_PORT, *extra, *(check.port for check in checks if check.port is not None)}))


def run_checks(
    machine: Machine,
    checks: Sequence[Check],
    access: SshAccess,
    report: Report,
    *,
    boot_seconds: float = BOOT_SECONDS,
    automatic: bool = True,
) -> CheckReport:
    """Run all checks until each has passed or its time is up.

    A check's timeout counts from the moment when the machine is first reached, for which it has `boot_seconds`. Raises
    InvarError with the console's tail when the machine ends or panics meanwhile.
    """
    own = automatic_tasks(machine.digest) if automatic else []
    return _Run(machine, access, boot_seconds).perform([*map(_task, checks), *own], report)


@dataclass(frozen=True, slots=True)
class _FromOutside:
    """A look that needs the machine's ports only."""

    look: Callable[[Outside], Look]
    evidence: Callable[[Inside], str]


@dataclass(frozen=True, slots=True)
class _FromInside:
    """A look that needs a login; it may take the seconds given."""

    look: Callable[[Inside, float], Look]
    evidence: Callable[[Inside], str]


@dataclass(frozen=True, slots=True)
class Task:
    """A check with the way to look. `timeout` in seconds."""

    name: str
    kind: str
    timeout: float
    way: _FromOutside | _FromInside


def automatic_tasks(digest: str | None) -> list[Task]:
    """What must hold on every machine: it runs the system that was built, and no unit has failed."""
    no_failed = _FromInside(inside_probes.no_failed_unit, inside_probes.failed_units_evidence)
    tasks = [Task("no failed unit", "automatic", AUTOMATIC_SECONDS, no_failed)]
    if digest is not None:
        proof = _FromInside(lambda inside, seconds: inside_probes.system_digest(inside, digest, seconds), _no_evidence)
        tasks.append(Task("system digest", "automatic", AUTOMATIC_SECONDS, proof))
    return tasks


def _task(check: Check) -> Task:
    return Task(check.name, check.kind, check.timeout, _way(check))


def _way(check: Check) -> _FromOutside | _FromInside:
    """Raises InvarError when the check lacks what its kind needs."""
    match check:
        case Check(kind="unit", unit=str(unit)):
            return _FromInside(
                lambda inside, seconds: inside_probes.unit(inside, unit, seconds),
                lambda inside: inside_probes.unit_evidence(inside, (unit,)),
            )
        case Check(kind="tcp", port=int(port)):
            return _FromOutside(
                lambda outside: outside.tcp(port), lambda inside: inside_probes.port_evidence(inside, port)
            )
        case Check(kind="http", port=int(port)):
            path, status, body = check.path or "/", check.status or 200, check.body
            return _FromOutside(
                lambda outside: outside.http_get(port, path, status, body),
                lambda inside: inside_probes.port_evidence(inside, port),
            )
        case Check(kind="command", command=(_, *_) as argv, user=user):
            return _FromInside(lambda inside, seconds: inside_probes.command(inside, argv, user, seconds), _no_evidence)
    raise InvarError(
        f"the check {check.name} lacks what a check of kind {check.kind} needs", hint="see docs: invar.checks"
    )


def _no_evidence(inside: Inside) -> str:
    return ""


class _Run:
    """One run of all checks: a thread for each, one that logs in, one that watches the console."""

    def __init__(self, machine: Machine, access: SshAccess, boot_seconds: float) -> None:
        self._machine = machine
        self._outside = Outside(machine)
        self._access = access
        self._start = time.monotonic()
        self._boot_deadline = self._start + boot_seconds
        self._changed = threading.Condition()
        self._over = False
        self._reached: float | None = None
        self._inside: SshInside | None = None
        self._login_fault = "the machine has not been reached"
        self._results: queue.SimpleQueue[tuple[int, CheckResult] | InvarError | None] = queue.SimpleQueue()

    def perform(self, tasks: Sequence[Task], report: Report) -> CheckReport:
        """Start everything, gather the results."""
        done: dict[int, CheckResult] = {}
        with Console(self._machine) as console:
            try:
                self._in_background(lambda: self._watch(console))
                self._in_background(self._log_in)
                for number, task in enumerate(tasks):
                    self._in_background(partial(self._perform_one, number, task))
                with report.stage("boot"):
                    while self._reached is None and len(done) < len(tasks):
                        self._take_one(done)
                with report.stage("checks") as stage:
                    stage.progress(len(done), len(tasks), "checks")
                    while len(done) < len(tasks):
                        self._take_one(done)
                        stage.progress(len(done), len(tasks), "checks")
            finally:
                self._finish()
                console.hang_up()
        reached = None if self._reached is None else self._reached - self._start
        shown = None if self._inside else tail(self._machine)
        return CheckReport(tuple(result for _, result in sorted(done.items())), reached, shown)

    def _take_one(self, done: dict[int, CheckResult]) -> None:
        """Wait for the next news: a result, the first sign of the machine (None), or what ends the run."""
        news = self._results.get()
        if isinstance(news, InvarError):
            raise news
        if news is not None:
            number, result = news
            done[number] = result

    def _perform_one(self, number: int, task: Task) -> None:
        self._results.put((number, self._try(task)))

    def _try(self, task: Task) -> CheckResult:
        """Look again and again, with growing pauses, until it is as wanted or the time is up."""
        look = Look(False, "the machine was not reached")
        pause = _FIRST_PAUSE
        while (left := self._left(task)) > 0 and not look.final:
            attempt = self._look(task, left)
            if attempt is not None:
                look = attempt
                if look.passed:
                    return self._result(task, look, None)
            if not self._wait(min(pause, left)):
                break
            if self._reached is not None:
                pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)
        if isinstance(task.way, _FromInside) and self._inside is None:
            look = Look(False, f"no login as root: {self._login_fault}")
        inside = self._inside
        return self._result(task, look, task.way.evidence(inside) if inside else None)

    def _look(self, task: Task, left: float) -> Look | None:
        """One look; None when the login that it needs did not come in time."""
        if isinstance(task.way, _FromOutside):
            look = task.way.look(self._outside)
            if look.passed:
                self._note_reached()
            return look
        inside = self._await_inside(task)
        return None if inside is None else task.way.look(inside, left)

    def _left(self, task: Task) -> float:
        deadline = self._boot_deadline if self._reached is None else self._reached + task.timeout
        return deadline - time.monotonic()

    def _await_inside(self, task: Task) -> SshInside | None:
        with self._changed:
            while self._inside is None and not self._over and (left := self._left(task)) > 0:
                self._changed.wait(left)
            return self._inside

    def _wait(self, seconds: float) -> bool:
        """Pause between two looks; False when everything is over."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._over, seconds)

    def _note_reached(self) -> None:
        with self._changed:
            if self._reached is None:
                self._reached = time.monotonic()
                self._results.put(None)
                self._changed.notify_all()

    def _log_in(self) -> None:
        """Open the connection that the checks inside share, as soon as the machine lets us in."""
        pause = _FIRST_PAUSE
        while self._wait(pause):
            pause = _FIRST_PAUSE
            greeting = self._outside.ssh_greets(SSH_PORT)
            if not greeting.passed:
                self._login_fault = greeting.seen
                continue
            try:
                inside = SshInside(self._machine, self._access)
            except LoginRefused as fault:
                self._login_fault = str(fault)
                pause = _REFUSED_PAUSE
                continue
            with self._changed:
                if self._over:
                    inside.close()
                    return
                self._inside = inside
                self._changed.notify_all()
            self._note_reached()
            return

    def _watch(self, console: Console) -> None:
        """End the run when the machine ends or its console shows that it will not come up."""
        while console.receive():
            if console.fatal:
                self._results.put(did_not_come_up(self._machine, console.fatal))
                return
        if not self._over:
            self._results.put(ended(self._machine))

    def _in_background(self, work: Callable[[], None]) -> None:
        """Run in a thread of its own; a fault there ends the run."""

        def guarded() -> None:
            try:
                work()
            except InvarError as fault:
                self._results.put(fault)
            except OSError as fault:
                self._results.put(InvarError("a check could not be run", why=str(fault)))

        threading.Thread(target=guarded, daemon=True).start()

    def _finish(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
            inside = self._inside
        if inside is not None:
            inside.close()

    def _result(self, task: Task, look: Look, evidence: str | None) -> CheckResult:
        seconds = time.monotonic() - self._start
        return CheckResult(
            task.name, task.kind, look.passed, seconds, None if look.passed else look.seen, evidence or None
        )


def _told(result: CheckResult) -> list[str]:
    lines = [f"{result.name} ({result.kind}): {result.why}"]
    lines.extend("  " + line for line in (result.evidence or "").splitlines())
    return lines
