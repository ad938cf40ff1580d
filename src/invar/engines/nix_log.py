"""Nix's own progress (`--log-format internal-json`) decoded: how far a build is, what it says, why it failed.

A line is `@nix {JSON}`; actions are "start", "stop", "result" and "msg". The numbers are those of `ActivityType` and
`ResultType` in Nix's logging.hh; later versions add some, and what is unknown here is passed over.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from invar.image.closure import store_name

ACT_FILE_TRANSFER = 101
ACT_BUILDS = 104
ACT_BUILD = 105
ACT_SUBSTITUTE = 108
RES_BUILD_LOG_LINE = 101
RES_SET_PHASE = 104
RES_PROGRESS = 105
RES_POST_BUILD_LOG_LINE = 107
LEVEL_ERROR = 0
LEVEL_WARNING = 1
KEPT_LINES = 25
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Said:
    """A line for people; a warning, or a note of what begins."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """So many of the builds are done."""

    done: int
    expected: int


LogEvent = Said | Counted


@dataclass(slots=True)
class NixLog:
    """The state of one run. `errors` are Nix's error messages, `last_lines` the end of the builders' output."""

    errors: list[str] = field(default_factory=list)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    _kinds: dict[int, int] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)

    def read(self, line: str) -> list[LogEvent]:
        """What a line of standard error tells."""
        text = line.rstrip("\r\n")
        if not text.startswith("@nix "):
            return self._plain(text)
        try:
            entry = json.loads(text.removeprefix("@nix "))
        except ValueError:
            return self._plain(text)
        if not isinstance(entry, dict):
            return []
        match entry.get("action"):
            case "start":
                return self._start(entry)
            case "stop":
                self._kinds.pop(entry.get("id", 0), None)
                return []
            case "result":
                return self._result(entry)
            case "msg":
                return self._message(entry)
            case _:
                return []

    def _start(self, entry: dict[str, Any]) -> list[LogEvent]:
        identity, kind = entry.get("id", 0), entry.get("type", 0)
        self._kinds[identity] = kind
        fields = entry.get("fields") or []
        if kind == ACT_BUILD and fields:
            self._names[identity] = store_name(str(fields[0]).removesuffix(".drv"))
            return [Said(f"building {self._names[identity]}")]
        if kind == ACT_SUBSTITUTE and fields:
            return [Said(f"fetching {store_name(str(fields[0]))}")]
        return []

    def _result(self, entry: dict[str, Any]) -> list[LogEvent]:
        fields = entry.get("fields") or []
        kind = entry.get("type")
        if kind in (RES_BUILD_LOG_LINE, RES_POST_BUILD_LOG_LINE) and fields:
            self.last_lines.append(_COLOURS.sub("", str(fields[0])))
        if kind == RES_PROGRESS and self._kinds.get(entry.get("id", 0)) == ACT_BUILDS and len(fields) > 1:
            return [Counted(int(fields[0]), int(fields[1]))]
        if kind == RES_SET_PHASE and fields:
            name = self._names.get(entry.get("id", 0))
            return [Said(f"{name}: {fields[0]}")] if name else []
        return []

    def _message(self, entry: dict[str, Any]) -> list[LogEvent]:
        text = _COLOURS.sub("", str(entry.get("raw_msg") or entry.get("msg") or "")).strip()
        level = entry.get("level", LEVEL_WARNING)
        if not text:
            return []
        if level == LEVEL_ERROR:
            self.errors.append(text.removeprefix("error:").strip())
            return []
        return [Said(text.removeprefix("warning:").strip(), warning=True)] if level == LEVEL_WARNING else []

    def _plain(self, text: str) -> list[LogEvent]:
        text = _COLOURS.sub("", text)
        if text.startswith("error:"):
            self.errors.append(text.removeprefix("error:").strip())
        elif text.startswith("warning:"):
            return [Said(text.removeprefix("warning:").strip(), warning=True)]
        elif text:
            self.last_lines.append(text)
        return []
