"""What the configuration says of how an instance treats what EC2 tells it: /etc/invar/instance.json.

Made by nixos/modules/invar/instance.nix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invar.machine import state
from invar.system.decode import decode

INSTANCE = Path("/etc/invar/instance.json")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is fetched at boot by the instance's role: a parameter of SSM or a secret of Secrets Manager.

    Exactly one of `ssm` and `secretsmanager` is set.
    """

    ssm: str | None
    secretsmanager: str | None


@dataclass(frozen=True, slots=True)
class Instance:
    """`trusted_keys` ("ed25519:BASE64") empty: user data need not be signed. Endpoints None: AWS's own."""

    takes_host_name: bool
    trusted_keys: tuple[str, ...]
    secrets: dict[str, Secret]
    ssm_endpoint: str | None
    secretsmanager_endpoint: str | None


def read_instance(path: Path = INSTANCE) -> Instance:
    """As the active system's configuration says. Raises InvarError when the file is absent or not such a file."""
    found = decode(Instance, state.read_json(path), "instance")
    assert isinstance(found, Instance)
    return found
