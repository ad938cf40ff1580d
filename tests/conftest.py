"""What several rooms' tests share: one home whose store lives on, so that packages are fetched and unpacked once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from invar.core.home import Home

# How long an example takes depends on who else uses the machine.
settings.register_profile("invar", deadline=None)
settings.load_profile("invar")

# Shells start what runs in the background with Ctrl-C ignored; the programs that tests interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The clone's root."""
    return ROOT


@pytest.fixture(scope="session")
def home() -> Home:
    """INVAR_TEST_HOME, else a directory in the user's cache. Everything in it is content-addressed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Home(Path(os.environ.get("INVAR_TEST_HOME") or cache / "invar-tests"))
