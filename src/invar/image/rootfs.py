"""The layers' files for containers: trees whose content lies in a directory, as layers of one image or merged into one.

What only a machine needs, kernel modules, is left out; /var is there as the packages left it, so that the root also
serves a container that no systemd boots.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invar.image.erofs_tree import Contents, read_erofs
from invar.image.layer import Layer
from invar.image.normalise import TMPFILES, with_parents
from invar.image.tools import Tools
from invar.image.tree import Node, Tree
from invar.sandbox.removal import remove_tree
from invar.sandbox.spec import Bind

MACHINES_ONLY = ("boot/", "usr/lib/modules/")


@contextmanager
def unpacked(layer: Layer, directory: Path, tools: Tools) -> Iterator[Contents]:
    """What is in a layer, for containers; its files' content is in `directory`, which must not exist, while it lasts.

    Owners and modes are as in the layer whoever runs this: they are read from the image, not from the directory.
    """
    directory.mkdir()
    try:
        binds = [Bind(layer.image, "/layer"), Bind(directory, "/files", read_only=False)]
        tools.run(["fsck.erofs", "--extract=/files", "--no-preserve", "--overwrite", "-d1", "/layer"], binds=binds)
        contents = read_erofs(layer.image)
        tree = {
            path: dataclasses.replace(node, source=str(directory / path)) if node.kind == "file" else node
            for path, node in contents.tree.items()
            if not path.startswith(MACHINES_ONLY)
        }
        yield Contents(tree | _var(tree), contents.whiteouts)
    finally:
        remove_tree(directory)


def merged(lower: Contents, upper: Contents) -> Tree:
    """One tree out of two, as overlayfs shows them."""
    hidden = upper.whiteouts | {path for path, node in upper.tree.items() if node.kind != "directory"}
    return {path: node for path, node in lower.tree.items() if not _is_hidden(path, hidden)} | upper.tree


def _is_hidden(path: str, hidden: frozenset[str] | set[str]) -> bool:
    while path:
        if path in hidden:
            return True
        path = path.rpartition("/")[0]
    return False


def _var(tree: Tree) -> Tree:
    """/var by the tmpfiles.d(5) file that normalising made of it: directories, links and copies."""
    if TMPFILES not in tree:
        return {}
    made: Tree = {"var/tmp": Node("directory", 0o1777)}
    for line in tree[TMPFILES].read().decode().splitlines():
        match shlex.split(line.replace("%%", "%"), comments=True):
            case ["d", path, mode, uid, gid, _]:
                made[path.lstrip("/")] = Node("directory", int(mode, 8), int(uid), int(gid))
            case ["L", path, _, _, _, _, target]:
                made[path.lstrip("/")] = Node("symlink", 0o777, target=target)
            case ["C", path, mode, uid, gid, _, source]:
                original = tree[source.lstrip("/")]
                made[path.lstrip("/")] = dataclasses.replace(
                    original, mode=int(mode, 8), uid=int(uid), gid=int(gid), inode=None
                )
    return with_parents(made)
