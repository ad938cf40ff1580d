"""Files beside the configuration that it puts into the store: `source = ./nginx.conf`, `root = ./site`."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.nix.store_objects import SourceObject

LIMIT = 16 * 2**20
"""Characters of text that one such tree may hold: images get their programs and data from packages."""


def source_entries(stored: SourceObject) -> dict[str, dict[str, Any]]:
    """The nodes of a file or directory, by path relative to it: text (UTF-8), symbolic links, empty directories.

    Clocks and owners of the host are left out. Raises InvarError for what cannot be copied.
    """
    root = Path(stored.source)
    entries: dict[str, dict[str, Any]] = {}
    size = 0
    todo = [root]
    while todo:
        file = todo.pop()
        node = _node(file)
        inside = (
            [one for one in file.iterdir() if str(one) not in stored.dropped] if node["type"] == "directory" else []
        )
        todo += inside
        if not inside:
            entries["" if file == root else str(file.relative_to(root))] = node
        size += len(node.get("text", ""))
        if size > LIMIT:
            raise InvarError(f"{root} holds more than {LIMIT >> 20} MiB of text", hint="name a smaller directory")
    return dict(sorted(entries.items()))


def _node(file: Path) -> dict[str, Any]:
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            return {"type": "symlink", "target": str(file.readlink())}
        if stat.S_ISDIR(mode):
            return {"type": "directory"}
        if stat.S_ISREG(mode):
            return {"type": "file", "text": file.read_bytes().decode(), "executable": bool(mode & stat.S_IXUSR)}
    except UnicodeDecodeError:
        raise InvarError(
            f"{file} is not UTF-8 text",
            why="a configuration's own files in an image are text; programs and data come from packages",
        ) from None
    except OSError as error:
        raise InvarError(f"{file} cannot be read", why=error.strerror) from None
    raise InvarError(f"{file} is neither a file, a directory nor a symbolic link")
