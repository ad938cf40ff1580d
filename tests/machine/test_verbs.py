"""The verbs of `invar` on an instance, by the table that they are called by."""

from __future__ import annotations

import importlib

import pytest

from invar.core.errors import ExitCode
from invar.machine.__main__ import VERBS, main


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_there(name: str) -> None:
    module, _, function = VERBS[name].target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", [name for name, verb in VERBS.items() if not verb.hidden])
def test_every_verb_tells_how_it_is_used(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == ExitCode.DONE
    assert f"usage: invar {name}" in capsys.readouterr().out
