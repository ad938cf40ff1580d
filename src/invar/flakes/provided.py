"""The inputs that the native engine gives itself, as trees: nixpkgs and nixos-generators."""

from __future__ import annotations

import hashlib

import invar
from invar.flakes.source import Source
from invar.nix.store_objects import SourceObject
from invar.nix.storepath import source_path
from invar.nixos.places import LIBRARY, MODULES

GRAFTS = {
    "nixpkgs": (("/lib", str(LIBRARY / "lib")), ("/nixos/modules", str(MODULES)), ("/invar", str(LIBRARY))),
    "nixos-generators": (),
}
"""Directories of the module library that appear in the trees: (path below the tree, where it lies)."""


def provided_source(name: str) -> Source:
    """The tree of a provided input. Its store path depends on Invar's version only: it never gets into an image."""
    digest = hashlib.sha256(f"{name} of invar {invar.__version__}".encode()).digest()
    return Source(str(LIBRARY / name), digest, {"type": "path", "path": str(LIBRARY / name), "lastModified": 0})


def provided_object(name: str) -> SourceObject:
    """What an evaluator reads the tree by."""
    source = provided_source(name)
    return SourceObject(source.root, source.nar_sha256, grafts=GRAFTS[name], mounted=True)


def provided_paths() -> tuple[str, ...]:
    """The store paths of all provided trees."""
    return tuple(provided_source(name).store_path for name in GRAFTS)


def library_prefix() -> str:
    """The store path below which the module library lies in the evaluation of a flake."""
    return source_path("source", provided_source("nixpkgs").nar_sha256)
