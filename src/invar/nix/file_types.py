"""A file's type in Nix's words."""

from __future__ import annotations

import stat


def file_type(mode: int) -> str:
    """ "regular", "directory", "symlink" or "unknown", from what `stat` says."""
    if stat.S_ISREG(mode):
        return "regular"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "unknown"
