"""Which programs come out of which package: what the config layer links for `environment.systemPackages`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from invar.debian.deb import UnpackedDeb

_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/games")
_ALTERNATIVES = "/etc/alternatives/"


def programs_by_package(debs: Mapping[str, UnpackedDeb], manifest: Path) -> dict[str, list[str]]:
    """Package → paths of its programs in the layer, by the layer's manifest; alternatives too (`/usr/bin/awk`)."""
    entries: dict[str, dict[str, str]] = {}
    with manifest.open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["type"] != "directory" and entry["path"].startswith((*_DIRECTORIES, _ALTERNATIVES)):
                entries[entry["path"]] = entry
    owners: dict[str, str] = {}
    for name, deb in debs.items():
        for path in deb.paths:
            owners.setdefault(merged_usr(path), name)
    programs: dict[str, list[str]] = {}
    for path, entry in sorted(entries.items()):
        if path.rpartition("/")[0] not in _DIRECTORIES:
            continue
        owner = owners.get(path)
        target = entry.get("target", "")
        if owner is None and target.startswith(_ALTERNATIVES) and target in entries:
            owner = owners.get(merged_usr(entries[target].get("target", "")))
        if owner is not None:
            programs.setdefault(owner, []).append(path)
    return programs


def merged_usr(path: str) -> str:
    """The path below /usr of one that goes through /bin, /sbin or /lib."""
    return f"/usr{path}" if path.startswith(("/bin/", "/sbin/", "/lib/", "/lib64/")) else path
