"""How flakes are read: where from, with what allowed, and what in place of what."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from invar.nix.fetching import Fetcher, NoFetcher


@dataclass(frozen=True, slots=True)
class Settings:
    """How flakes are read. `overrides`: ways of inputs ("a/b") to URLs. `write`: flake.lock may be written."""

    cache_dir: Path | None = None
    fetcher: Fetcher = field(default_factory=NoFetcher)
    overrides: Mapping[str, str] = field(default_factory=dict)
    impure: bool = False
    show_trace: bool = False
    write: bool = True
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
