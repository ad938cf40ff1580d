"""The files that a configuration makes, under /etc and in /nix/store, as a tree to compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from invar.system.record import EtcEntry, StoreObject
from invar.system.text_changes import store_name


@dataclass(frozen=True, slots=True)
class File:
    """A file with `text`, a link to `link`, or a directory. `traits` maps "mode", "user", ... to what they are."""

    text: str | None = None
    link: str | None = None
    directory: bool = False
    traits: dict[str, str] = field(default_factory=dict)


ABSENT = File()


def etc_files(entries: Iterable[EtcEntry]) -> dict[str, File]:
    """Entries of /etc by absolute path."""
    return {f"/etc/{one.target}": File(one.text, one.source, False, _traits(one)) for one in entries}


def _traits(entry: EtcEntry) -> dict[str, str]:
    return {"mode": entry.mode, "user": entry.user, "group": entry.group}


def object_files(objects: Sequence[StoreObject], others: Sequence[StoreObject]) -> dict[str, File]:
    """The files of store objects that `others` lack, by path without the hash ("/nix/store/…-NAME/PATH").

    A second object of the same name gets a number. Those that stand for packages' programs are left out.
    """
    known = {one.path for one in others}
    names: set[str] = set()
    files = {}
    for one in objects:
        if one.path in known or one.package:
            continue
        name = store_name(one.path)
        number = 1
        while (unique := name if number == 1 else f"{name} ({number})") in names:
            number += 1
        names.add(unique)
        for path, node in one.entries.items():
            place = "/".join(filter(None, (f"/nix/store/…-{unique}", path)))
            executable = {"executable": "yes" if node["executable"] else "no"} if "executable" in node else {}
            files[place] = File(node.get("text"), node.get("target"), node["type"] == "directory", executable)
    return files
