"""Delete a tree whose files belong to subordinate ids, which only root of their user namespace may."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from invar.core.errors import InvarError
from invar.sandbox.launch import run
from invar.sandbox.spec import Command
from invar.store.trees import remove_tree as remove_own_tree

_DELETE = """
import os, shutil, sys
def retry(function, path, info):
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700, follow_symlinks=False) if not os.path.islink(path) else None
    function(path)
for path in sys.argv[1:]:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, onerror=retry)
    elif os.path.lexists(path):
        os.unlink(path)
"""


def remove_tree(path: Path) -> None:
    """Delete a file or a tree, in a user namespace if need be; nothing there is fine. Fit for a `Store`'s `remove`.

    Raises InvarError when it fails.
    """
    try:
        remove_own_tree(path)
    except PermissionError:
        _remove_in_namespace(path)


def _remove_in_namespace(path: Path) -> None:
    run(Command((sys.executable, "-I", "-S", "-c", _DELETE, str(path.absolute())), in_root=False), None)
    if os.path.lexists(path):
        raise InvarError("a directory could not be deleted", where=str(path))
