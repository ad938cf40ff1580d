"""What the configuration says of the instance itself: /etc/invar/machine.json, made by modules/invar/machine.nix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invar.machine import state


@dataclass(frozen=True, slots=True)
class Settings:
    """`boot_deadline` and `boot_hang` are in seconds; `boot_hang` is None in a system too old to call deadlines off.

    `caches` are addresses of build caches, in the order in which they are asked, and `s3_endpoint` is where those in
    buckets are, if not at AWS's own address.
    """

    boot_tries: int
    boot_deadline: int
    boot_hang: int | None
    caches: tuple[str, ...] = ()
    s3_endpoint: str | None = None


def read_settings(path: Path = state.SETTINGS) -> Settings:
    """The active system's settings, or those at `path`. Raises InvarError when there are none."""
    data = state.read_json(path)
    return Settings(
        data["boot_tries"],
        data["boot_deadline"],
        data.get("boot_hang"),
        tuple(data.get("caches", ())),
        data.get("s3_endpoint"),
    )
