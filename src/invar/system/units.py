"""The systemd units of a system, gathered from /etc: the unit file, its drop-ins, and who wants it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from invar.system.record import EtcEntry

_DIRECTORY = re.compile(r"systemd/(system|user)/(.+)")
_WANTED = re.compile(r"(.+)\.(wants|requires|upholds)/([^/]+)")
_DROP_IN = re.compile(r"(.+)\.d/([^/]+)")
_TRIGGERS = re.compile(r"^X-(Restart|Reload)-Triggers=(.*)\n?", re.MULTILINE)
MASK = "/dev/null"


@dataclass(slots=True)
class Unit:
    """One unit. `text` is the unit file's, None when packages bring it; `link` what it is a link to (`MASK`: masked).

    `drop_ins` maps a name to a text, `wanted_by` holds "multi-user.target" or "requires multi-user.target".
    """

    name: str
    text: str | None = None
    link: str | None = None
    drop_ins: dict[str, str] = field(default_factory=dict)
    wanted_by: set[str] = field(default_factory=set)

    @property
    def masked(self) -> bool:
        """Whether it can't be started."""
        return self.link == MASK

    def document(self) -> str:
        """All its texts in one, as `systemctl cat` shows them, without triggers."""
        parts = [] if self.text is None else [self.text]
        parts += [f"# drop-in {name}\n{text}" for name, text in sorted(self.drop_ins.items())]
        return _TRIGGERS.sub("", "\n".join(part.rstrip("\n") + "\n" for part in parts))

    def triggers(self) -> dict[str, str]:
        """Hashes of what the unit is restarted or reloaded for: "restart" or "reload" → hash."""
        return {kind.lower(): value for kind, value in _TRIGGERS.findall(self.text or "")}


def units_of(entries: Iterable[EtcEntry]) -> tuple[dict[str, Unit], list[EtcEntry]]:
    """The units by name ("user/NAME" for those of user managers), and the entries that belong to none."""
    units: dict[str, Unit] = {}
    rest = []
    for entry in entries:
        found = _DIRECTORY.fullmatch(entry.target)
        if found is None:
            rest.append(entry)
            continue
        manager, path = found.groups()
        prefix = "user/" if manager == "user" else ""
        wanted, drop_in = _WANTED.fullmatch(path), _DROP_IN.fullmatch(path)
        name = wanted[3] if wanted else drop_in[1] if drop_in else path
        if "/" in name:
            rest.append(entry)
            continue
        unit = units.setdefault(prefix + name, Unit(prefix + name))
        content = entry.text if entry.text is not None else f"(link to {entry.source})\n"
        if wanted:
            unit.wanted_by.add(wanted[1] if wanted[2] == "wants" else f"{wanted[2]} {wanted[1]}")
        elif drop_in:
            unit.drop_ins[drop_in[2]] = content
        elif entry.text is None:
            unit.link = entry.source
        else:
            unit.text = entry.text
    return units, rest
