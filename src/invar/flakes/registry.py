"""Names of flakes: which input the native engine gives itself, and what other names stand for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.nix.errors import did_you_mean, nearest

PROVIDED = {
    ("nixos", "nixpkgs"): "nixpkgs",
    ("nix-community", "nixos-generators"): "nixos-generators",
}
"""What the native engine gives in place of a repository: (owner, repository), lower case, to its name in `nixos/`."""

WELL_KNOWN: dict[str, tuple[str, str]] = {
    "agenix": ("ryantm", "agenix"),
    "disko": ("nix-community", "disko"),
    "flake-compat": ("edolstra", "flake-compat"),
    "flake-parts": ("hercules-ci", "flake-parts"),
    "flake-utils": ("numtide", "flake-utils"),
    "home-manager": ("nix-community", "home-manager"),
    "impermanence": ("nix-community", "impermanence"),
    "nixos-generators": ("nix-community", "nixos-generators"),
    "nixos-hardware": ("NixOS", "nixos-hardware"),
    "nixpkgs": ("NixOS", "nixpkgs"),
    "sops-nix": ("Mic92", "sops-nix"),
    "systems": ("nix-systems", "default"),
    "treefmt-nix": ("numtide", "treefmt-nix"),
}
"""Names known without a registry file, to (owner, repository) on GitHub."""

_CHANNEL = re.compile(r"https?://(channels\.nixos\.org|nixos\.org/channels)/nix(os|pkgs)-[^/]+/nixexprs\.tar")
_ADDRESS = re.compile(r"^(?:ssh|https?|git)://(?:[^@/]+@)?github\.com/([^/]+)/([^/]+?)(?:\.git)?(?:/.*)?$")


def provided_by_engine(reference: Mapping[str, Any]) -> str | None:
    """The name of what the native engine gives for an input, whichever revision is asked for; None for all others."""
    kind = reference["type"]
    if kind == "github":
        return PROVIDED.get((str(reference["owner"]).lower(), str(reference["repo"]).lower()))
    if kind == "indirect":
        known = WELL_KNOWN.get(str(reference["id"]))
        return PROVIDED.get((known[0].lower(), known[1].lower())) if known else None
    url = str(reference.get("url", ""))
    if kind in ("git", "tarball"):
        if _CHANNEL.match(url):
            return "nixpkgs"
        found = _ADDRESS.match(url)
        return PROVIDED.get((found[1].lower(), found[2].lower())) if found else None
    return None


def registry_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The registries of the user and of the machine, as Nix has them."""
    home = Path(environment.get("HOME") or Path.home())
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    return configuration / "nix" / "registry.json", Path("/etc/nix/registry.json")


def look_up(reference: Mapping[str, Any], files: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What an indirect reference ("flake:NAME/REF") stands for. Raises InvarError for a name that nothing knows."""
    name = str(reference["id"])
    over = {key: reference[key] for key in ("ref", "rev", "dir") if key in reference}
    entries: dict[str, dict[str, Any]] = {
        known: {"type": "github", "owner": owner, "repo": repository}
        for known, (owner, repository) in WELL_KNOWN.items()
    }
    for file in reversed(files):
        entries |= _entries(file)
    if name not in entries:
        raise InvarError(
            f"cannot find flake 'flake:{name}' in the flake registries",
            why="it is an input without a `url`, and no registry has the name",
            hint=did_you_mean(nearest(name, entries)) or f'give it a url: inputs.{name}.url = "github:OWNER/{name}";',
        )
    return {**entries[name], **over}


def _entries(file: Path) -> dict[str, dict[str, Any]]:
    """The exact names of a registry file: {"flakes": [{"from": {"type": "indirect", "id"}, "to": {...}}]}."""
    if not os.access(file, os.R_OK):
        return {}
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))["flakes"]
        return {
            str(entry["from"]["id"]): dict(entry["to"])
            for entry in listed
            if entry["from"].get("type") == "indirect" and "ref" not in entry["from"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InvarError(f"{file} is no registry of flakes", why=str(error)) from None
