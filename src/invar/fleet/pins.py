"""What a directory's Terraform files and pins name: AMIs, snapshots and digests that garbage collection keeps."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path

from invar.core.errors import InvarError

FILES = (
    "*.tf", "*.tf.json", "*.tfvars", "*.tfvars.json", "*.tfstate", "*.tfstate.backup", "*.hcl", "pins", "pins.*",
    "*.pins", "*.pins.json",
)  # fmt: skip
SKIPPED = frozenset({".git", ".terraform", "node_modules"})
REFERENCE = re.compile(rb"\b(?:ami|snap)-[0-9a-f]{8,17}\b|\b[0-9a-f]{64}\b")


def pinned_in(directory: Path) -> dict[str, str]:
    """AMI id, snapshot id or 64-digit digest → the file that names it, of every such file below a directory.

    Raises InvarError for a file that cannot be read: nobody knows what it pins.
    """
    found: dict[str, str] = {}
    for place, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if name not in SKIPPED)
        for name in sorted(names):
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in FILES):
                continue
            path = Path(place, name)
            try:
                data = path.read_bytes()
            except OSError as error:
                raise InvarError("cannot read what a file pins", where=str(path), why=error.strerror) from error
            for reference in REFERENCE.findall(data):
                found.setdefault(reference.decode(), str(path))
    return found
