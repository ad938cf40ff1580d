"""Deleting a file tree that may hold directories without permissions, such as overlayfs's work directories."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def remove_tree(path: Path) -> None:
    """Delete a file, a link or a whole tree; nothing there is fine.

    Directories of the caller's that lack write or search permission are opened up first. Raises PermissionError when
    entries belong to other users (subordinate ids), which only a process in their user namespace can delete.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        _open_up(path)
        shutil.rmtree(path)


def _open_up(path: Path) -> None:
    """Give the owner full rights on every directory of the tree, from the top down."""
    path.chmod(0o700)
    with os.scandir(path) as entries:
        directories = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    for directory in directories:
        _open_up(directory)
