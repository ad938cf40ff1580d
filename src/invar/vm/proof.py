"""Proof of local machines: asked for through ssh or a forwarded port, or read off the console."""

from __future__ import annotations

import http.client
import secrets
import subprocess
from urllib.parse import quote

from invar.core.errors import InvarError
from invar.system.proof import CONSOLE_PREFIX, DEFAULT_PORT, Proof
from invar.system.toplevel import QUESTION, Running, parse_answer, parse_console
from invar.vm.console import log_text
from invar.vm.record import Machine
from invar.vm.ssh import SshAccess, ssh_argv

_ANSWER_SECONDS = 180.0
_MAX_ANSWER = 1 << 20


def new_nonce() -> str:
    """A nonce that nobody could have known."""
    return secrets.token_hex(16)


def by_ssh(machine: Machine, access: SshAccess, nonce: str) -> Proof:
    """Ask by ssh as root. Raises InvarError when there is no proof, or it is not an answer to this question."""
    return _answering(_asked(machine, access, ("invar", "proof", "--json", "--nonce", nonce)), machine, nonce)


def toplevel_by_ssh(machine: Machine, access: SshAccess) -> Running:
    """Ask a NixOS machine by ssh as root for its system. Raises InvarError when it gives none."""
    said = _asked(machine, access, QUESTION).decode(errors="replace")
    return parse_answer(said, where=f"machine {machine.name}")


def toplevel_from_console(machine: Machine) -> Running:
    """The NixOS system that the machine's console names last. Raises InvarError when it names none."""
    return parse_console(log_text(machine), where=f"machine {machine.name}")


def _asked(machine: Machine, access: SshAccess, command: tuple[str, ...]) -> bytes:
    argv = ssh_argv(machine, access, command, terminal=False)
    try:
        asked = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InvarError(f"the machine {machine.name} gave no proof within {_ANSWER_SECONDS:.0f} s") from None
    if asked.returncode != 0:
        said = asked.stderr.decode(errors="replace").strip() or f"exit status {asked.returncode}"
        raise InvarError(f"the machine {machine.name} gives no proof", why=said)
    return asked.stdout


def by_http(machine: Machine, nonce: str, port: int = DEFAULT_PORT) -> Proof:
    """Ask the machine's HTTP answerer (`invar.proof.http.enable`) through its forwarded port. Raises as `by_ssh`."""
    connection = http.client.HTTPConnection("127.0.0.1", machine.port(port), timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", f"/proof?nonce={quote(nonce)}")
        answer = connection.getresponse()
        body = answer.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise InvarError(
            f"the machine {machine.name} gives no proof on port {port}", why=f"{type(error).__name__}: {error}"
        ) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise InvarError(f"the machine {machine.name} gives no proof on port {port}", why=f"status {answer.status}")
    return _answering(body, machine, nonce)


def from_console(machine: Machine) -> Proof:
    """The last proof on the machine's console. Raises InvarError when there is none yet."""
    proofs = proofs_in(log_text(machine), machine.name)
    if not proofs:
        raise InvarError(
            f"the console of {machine.name} shows no proof",
            hint="one is printed when the machine has booted, if its image has invar.machine.enable",
        )
    return proofs[-1]


def proofs_in(console: str, where: str) -> list[Proof]:
    """Every whole proof on a console, in order; one that is cut off or mixed with other lines is passed over."""
    found = []
    for line in console.splitlines():
        _, prefix, text = line.partition(CONSOLE_PREFIX)
        if prefix:
            try:
                found.append(Proof.from_json(text, where=where))
            except InvarError:
                continue
    return found


def _answering(answer: bytes, machine: Machine, nonce: str) -> Proof:
    proof = Proof.from_json(answer, where=f"machine {machine.name}")
    if proof.nonce != nonce:
        raise InvarError(f"the machine {machine.name} answers another question", why="its proof has another nonce")
    return proof
