"""Into a machine by ssh: the user's key for local machines, the machine's host keys, the command lines."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.home import Home
from invar.vm.console import log_text
from invar.vm.install import SshInstall
from invar.vm.record import Machine

SSH_PORT = 22
KEY_NAME = "invar"
"""What the metadata service calls the key."""

_KEY_FILE = "id_ed25519"
_TOOL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SshKey:
    """An ed25519 key pair: the private key's file and the public key as an authorized_keys line."""

    private: Path
    public: str


@dataclass(frozen=True, slots=True)
class SshAccess:
    """With what to log into machines: a client and this user's key for local machines."""

    install: SshInstall
    key: SshKey


def ensure_key(home: Home, install: SshInstall) -> SshKey:
    """This user's key for local machines, made the first time. Raises InvarError when it can't be made."""
    directory = home.keys / "local"
    if not directory.exists():
        home.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=home.keys) as name:
            made = Path(name) / directory.name
            made.mkdir(mode=0o700)
            _make_key(install, made / _KEY_FILE)
            try:
                made.rename(directory)
            except OSError:
                if not directory.exists():
                    raise
    private = directory / _KEY_FILE
    return SshKey(private, private.with_suffix(".pub").read_text(encoding="utf-8").strip())


def ssh_argv(
    machine: Machine,
    access: SshAccess,
    command: Sequence[str] = (),
    *,
    user: str = "root",
    identities: Sequence[Path] = (),
    terminal: bool | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """The argv that runs `command` (none: a login shell) on the machine; exit codes pass through, 255 is ssh's own.

    A single word is a line for the user's shell, as with ssh; several words are one program's arguments, exactly.

    Host keys that the machine has shown on its console are demanded; before that, the first key met is taken and kept.
    root is offered this user's key for local machines, others also `identities` and the user's own keys. `terminal`
    None leaves it to ssh. `options` are further arguments to ssh. Raises InvarError when port 22 is not forwarded.
    """
    pinned = learn_host_keys(machine, access.install)
    keys = [word for path in (*identities, access.key.private) for word in ("-i", str(path))]
    return [
        *access.install.ssh,
        *("-F", "none"),
        *("-p", str(machine.port(SSH_PORT))),
        *("-l", user),
        *keys,
        *(("-o", "IdentitiesOnly=yes") if user == "root" else ()),
        *("-o", f"HostKeyAlias={machine.name}"),
        *("-o", f"UserKnownHostsFile={_quoted(machine.known_hosts)}"),
        *("-o", "GlobalKnownHostsFile=none"),
        *("-o", f"StrictHostKeyChecking={'yes' if pinned else 'accept-new'}"),
        *("-o", "UpdateHostKeys=no"),
        *("-o", "LogLevel=ERROR"),
        # A machine that restarts says no goodbye: without this a session would wait for it for ever.
        *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8"),
        *((("-tt",) if terminal else ("-T",)) if terminal is not None else ()),
        *options,
        "127.0.0.1",
        *((command[0] if len(command) == 1 else shlex.join(command),) if command else ()),
    ]


def learn_host_keys(machine: Machine, install: SshInstall) -> bool:
    """Write the host keys that the console shows to the machine's known_hosts; whether it shows any.

    A console may show the keys, or only their fingerprints: then the machine is asked for its keys, and those are taken
    whose fingerprint was shown. Raises InvarError when it has none of them.
    """
    text = log_text(machine)
    keys = shown_keys(text)
    if not keys and (fingerprints := shown_fingerprints(text)):
        if machine.known_hosts.exists():
            return True
        offered = _scan(machine, install, _preferred_type(text))
        keys = [key for key in offered if fingerprint(key) in fingerprints]
        if offered and not keys:
            raise InvarError(
                f"the ssh host key of {machine.name} is none of those that its console shows",
                where=f"127.0.0.1:{machine.port(SSH_PORT)}",
            )
    if not keys:
        return False
    temporary = machine.known_hosts.with_name(f"known_hosts.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text("".join(f"{machine.name} {key}\n" for key in keys), encoding="utf-8")
    temporary.replace(machine.known_hosts)
    return True


def shown_keys(console: str) -> list[str]:
    """The keys ("ssh-ed25519 AAAA...") between the last pair of marks that cloud images print around them."""
    return re.findall(r"((?:ssh|ecdsa)-\S+ AAAA\S+)", _marked(console, "KEYS"))


def shown_fingerprints(console: str) -> set[str]:
    """The fingerprints ("SHA256:...") between the last pair of marks that cloud images print around them."""
    return set(re.findall(r"(SHA256:[A-Za-z0-9+/]{43})", _marked(console, "FINGERPRINTS")))


def fingerprint(key: str) -> str:
    """The fingerprint of a public key line, as ssh-keygen -l shows it."""
    blob = base64.b64decode(key.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _marked(console: str, kind: str) -> str:
    """The text of the last complete block; a machine that was restarted shows several."""
    blocks = re.findall(
        rf"-----BEGIN SSH HOST KEY {kind}-----(.*?)-----END SSH HOST KEY {kind}-----", console, re.DOTALL
    )
    return str(blocks[-1]) if blocks else ""


def _preferred_type(console: str) -> str:
    """One type of key to ask for, each costs a connection: ed25519 if it is among the fingerprints."""
    types = re.findall(r"SHA256:\S+ .*\((\w+)\)", _marked(console, "FINGERPRINTS"))
    return "ed25519" if "ED25519" in types or not types else str(types[0]).lower()


def _scan(machine: Machine, install: SshInstall, key_type: str) -> list[str]:
    argv = (*install.keyscan, "-t", key_type, "-T", "20", "-p", str(machine.port(SSH_PORT)), "127.0.0.1")
    answered = subprocess.run(argv, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False)
    lines = (line for line in answered.stdout.splitlines() if not line.startswith("#"))
    return [" ".join(line.split()[1:3]) for line in lines]


def _make_key(install: SshInstall, path: Path) -> None:
    argv = (*install.keygen, "-q", "-t", "ed25519", "-N", "", "-C", KEY_NAME, "-f", str(path))
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False)
    if ran.returncode != 0:
        raise InvarError("the ssh key can't be made", where=str(path), why=(ran.stderr or ran.stdout).strip() or None)


def _quoted(path: Path) -> str:
    """A file name in an ssh option, where white space separates names and % is special."""
    return '"' + str(path).replace("%", "%%") + '"'
