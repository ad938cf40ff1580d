"""Nix's internal-json, line by line."""

from __future__ import annotations

import json

import pytest

from invar.engines.nix_log import Counted, LogEvent, NixLog, Said
from invar.image.closure import name_and_version, store_name


def read(*lines: object) -> tuple[NixLog, list[LogEvent]]:
    """All lines; what is no string becomes one of Nix's."""
    log = NixLog()
    told: list[LogEvent] = []
    for line in lines:
        told += log.read(line if isinstance(line, str) else "@nix " + json.dumps(line))
    return log, told


def test_builds_are_named_and_counted() -> None:
    _, told = read(
        {"action": "start", "id": 1, "type": 104, "text": "", "level": 0},
        {"action": "start", "id": 2, "type": 105, "fields": ["/nix/store/hash-web-1.2.drv", "", 1, 1], "level": 3},
        {"action": "result", "id": 2, "type": 104, "fields": ["unpackPhase"]},
        {"action": "result", "id": 1, "type": 105, "fields": [1, 3, 1, 0]},
        {"action": "stop", "id": 1},
        {"action": "result", "id": 1, "type": 105, "fields": [3, 3, 0, 0]},
    )
    assert told == [Said("building web-1.2"), Said("web-1.2: unpackPhase"), Counted(1, 3)]


def test_the_log_s_end_and_the_errors_are_kept() -> None:
    lines = [{"action": "result", "id": 2, "type": 101, "fields": [f"\x1b[31mline {n}\x1b[0m"]} for n in range(40)]
    log, told = read(*lines, {"action": "msg", "level": 0, "msg": "\x1b[31merror:\x1b[0m builder failed"})
    assert list(log.last_lines)[-1] == "line 39" and len(log.last_lines) == 25
    assert log.errors == ["builder failed"] and told == []


def test_warnings_are_told_and_chatter_is_not() -> None:
    _, told = read(
        {"action": "msg", "level": 1, "msg": "warning: Git tree is dirty"},
        {"action": "msg", "level": 3, "msg": "these derivations will be built"},
        "warning: the group does not exist",
    )
    assert told == [Said("Git tree is dirty", warning=True), Said("the group does not exist", warning=True)]


@pytest.mark.parametrize(
    "line",
    [
        "@nix {",
        "@nix []",
        "",
        '@nix {"action": "new in some later version"}',
        {"action": "start", "id": 1, "type": 9999},
        {"action": "result", "id": 7, "type": 105, "fields": []},
        {"action": "stop", "id": 5},
        {"action": "msg"},
    ],
)
def test_what_is_unknown_is_passed_over(line: object) -> None:
    assert read(line)[1] == []


def test_names_and_versions_are_split_as_nix_splits_them() -> None:
    assert store_name("/nix/store/00000000000000000000000000000000-nginx-1.28.0") == "nginx-1.28.0"
    assert name_and_version("nginx-1.28.0") == ("nginx", "1.28.0")
    assert name_and_version("python3-minimal") == ("python3-minimal", "")
