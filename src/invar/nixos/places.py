"""Where the module library's files are."""

from __future__ import annotations

from pathlib import Path

LIBRARY = Path(__file__).resolve().parent
MODULES = LIBRARY / "modules"
