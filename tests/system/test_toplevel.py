"""What a NixOS instance says of itself, read and judged: answers over ssh, consoles, and what is neither."""

from __future__ import annotations

import pytest

from invar.core.errors import InvarError
from invar.system.toplevel import Running, judge_toplevel, parse_answer, parse_console

ONE = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-web-25.11.20251101.a1b2c3d"
TWO = "/nix/store/zyxwvsrqpnmlkjihgfdcba9876543210-nixos-system-web-25.11.20251108.d4e5f6a"


@pytest.mark.parametrize(
    ("answer", "holds", "said"),
    [
        (f"{ONE}\n{ONE}\n", True, f"it runs {ONE}"),
        (f"{ONE}\n{TWO}\n", True, f"switched to after booting {TWO}"),
        (f"{TWO}\n{ONE}\n", False, f"it runs {TWO}, not {ONE}"),
        (f"{ONE}\n", True, f"it runs {ONE}"),
        (f"{ONE}0\n{ONE}0\n", False, "not"),
    ],
)
def test_the_active_system_decides(answer: str, holds: bool, said: str) -> None:
    verdict = judge_toplevel(parse_answer(answer, where="web"), ONE)
    assert verdict.holds is holds and said in verdict.why and verdict.to_data()["holds"] is holds


@pytest.mark.parametrize(
    "answer", ["", "/run/current-system\n/run/booted-system\n", f"{ONE} extra\n", f"{ONE}\n{ONE}\n{ONE}\n", "\x1b[31m"]
)
def test_anything_else_is_no_answer(answer: str) -> None:
    with pytest.raises(InvarError, match="no NixOS system"):
        parse_answer(answer, where="web")


def test_a_console_names_what_was_booted_last() -> None:
    console = (
        f"[    0.0] Kernel command line: init={TWO}/init console=ttyS0 loglevel=7\r\n"
        f"[    2.1] booting system configuration {ONE}\r\nweb login: "
    )
    assert parse_console(console, where="web") == Running(ONE, ONE)
    assert parse_console(console.splitlines()[0], where="web") == Running(TWO, TWO)
    with pytest.raises(InvarError, match="names no NixOS system"):
        parse_console("web login: ", where="web")


def test_what_is_expected_must_be_a_system() -> None:
    with pytest.raises(InvarError, match="toplevel"):
        judge_toplevel(Running(ONE, None), "f" * 64)
