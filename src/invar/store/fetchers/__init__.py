"""Fetching source files and trees into the store: what `fetchurl`, `fetchTree` and flakes get their input from."""

from __future__ import annotations

from invar.store.fetchers.fetchers import Fetchers

__all__ = ["Fetchers"]
