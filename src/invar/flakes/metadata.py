"""What a flake is, as `nix flake metadata` tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from invar.flakes.flake import Flake
from invar.flakes.inputs import locked_attributes
from invar.flakes.lockfile import Provided, lock_data
from invar.nix.input_urls import format_input


def metadata_data(flake: Flake) -> dict[str, Any]:
    """Nix's keys, and `provided`: the inputs that the native engine gives itself."""
    original = dict(flake.reference)
    locked = _locked(flake)
    data: dict[str, Any] = {
        "description": flake.manifest.description,
        "lastModified": locked.get("lastModified"),
        "locked": locked,
        "locks": lock_data(flake.inputs),
        "original": original,
        "originalUrl": format_input(original),
        "path": flake.place.source.store_path,
        "provided": sorted(name for name, edge in flake.inputs.items() if isinstance(edge, Provided)),
        "resolved": original,
        "resolvedUrl": format_input(original),
        "url": format_input({key: value for key, value in locked.items() if key != "lastModified"}),
    }
    known = flake.place.source.attributes
    for key, name in (("revision", "rev"), ("revCount", "revCount"), ("dirtyRevision", "dirtyRev")):
        if name in known:
            data[key] = known[name]
    return {key: value for key, value in data.items() if value is not None}


def metadata_lines(flake: Flake) -> list[str]:
    """The same for people."""
    data = metadata_data(flake)
    lines = [f"URL            {data['originalUrl']}"]
    if "description" in data:
        lines.append(f"description    {data['description']}")
    lines.append(f"directory      {flake.place.real}")
    lines.append(f"store path     {data['path']}")
    for key, label in (("revision", "revision"), ("dirtyRevision", "revision"), ("revCount", "revisions")):
        if key in data:
            lines.append(f"{label:14} {data[key]}")
    if isinstance(data.get("lastModified"), int):
        lines.append(f"last modified  {datetime.fromtimestamp(data['lastModified'], UTC):%Y-%m-%d %H:%M:%S} UTC")
    return lines


def _locked(flake: Flake) -> dict[str, Any]:
    locked = locked_attributes(flake.place.source)
    return {**locked, "dir": flake.place.directory} if flake.place.directory else locked
