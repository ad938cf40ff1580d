"""INVAR_HOME: where the store, the machines and the keys of this user live."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The directories of one user's Invar. Nothing is created before it is needed."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Home:
        """`INVAR_HOME`, else `$XDG_DATA_HOME/invar`, else `~/.local/share/invar`."""
        env = os.environ if environment is None else environment
        if env.get("INVAR_HOME"):
            return cls(Path(env["INVAR_HOME"]).absolute())
        data = Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        return cls(data.absolute() / "invar")

    @property
    def store(self) -> Path:
        """Content-addressed objects."""
        return self.root / "store"

    @property
    def code(self) -> Path:
        """Compiled Nix code, by content."""
        return self.root / "code"

    @property
    def cache(self) -> Path:
        """What can be fetched again: mirrors of git repositories."""
        return self.root / "cache"

    @property
    def machines(self) -> Path:
        """One directory for every local machine."""
        return self.root / "machines"

    @property
    def keys(self) -> Path:
        """Keys that Invar made for this user (ssh to local machines)."""
        return self.root / "keys"

    @property
    def cloud(self) -> Path:
        """The local cloud's state."""
        return self.root / "cloud"
