"""What no one foresaw: still a message and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click
import pytest

from invar.cli.context import told


def said_of(fault: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int | str | None, str]:
    @told
    def verb() -> None:
        raise fault

    with pytest.raises(SystemExit) as ended:
        verb()
    return ended.value.code, capsys.readouterr().err


def test_a_full_disk_is_told_with_its_place_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/disk"), capsys)
    assert code == 1
    assert "No space left on device" in said and "/var/disk" in said and "make room" in said


def test_a_fault_of_invars_own_leaves_its_trace_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_of(ZeroDivisionError("by nothing"), capsys)
    assert code == 1
    assert "fault of Invar: ZeroDivisionError: by nothing" in said and "Traceback" not in said
    file = Path(next(word for word in said.split() if "invar-fault-" in word).rstrip(":"))
    assert "ZeroDivisionError: by nothing" in file.read_text() and __file__ in file.read_text()
    file.unlink()


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert said_of(KeyboardInterrupt(), capsys)[0] == 130


def test_an_exit_code_of_a_verb_is_its_own() -> None:
    @told
    def verb() -> None:
        click.get_current_context().exit(3)

    with click.Context(click.Command("verb")), pytest.raises(click.exceptions.Exit) as ended:
        verb()
    assert ended.value.exit_code == 3
