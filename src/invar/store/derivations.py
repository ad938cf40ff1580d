"""Derivations that an evaluation made, written to the store as Nix writes them: `.drv` files and their texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from invar.nix.store_objects import Derivation, SourceObject, StoreObject
from invar.store.objects import Store

KIND = "nix"


def write_derivations(store: Store, objects: Mapping[str, StoreObject]) -> list[Path]:
    """Write each `.drv` (ATerm) and each text object, under the last part of its store path; what is there stays.

    Returns the paths of the `.drv` files. Raises InvarError when the store cannot be written.
    """
    written = []
    for path, stored in objects.items():
        if isinstance(stored, SourceObject):
            continue
        content = stored.aterm() if isinstance(stored, Derivation) else stored.content
        key = path.rpartition("/")[2]
        with store.creating(KIND, key) as place:
            if place is not None:
                place.write_bytes(content)
        if isinstance(stored, Derivation):
            written.append(store.path(KIND, key))
    return written
