"""The kernel command line and the system digest on it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.image.cmdline import LIMIT, command_line, system_digest, with_digest
from invar.image.layer import Layer

PACKAGES = Layer("packages", "p", Path("p"), 1000, 1009, "a" * 64, "b" * 64)
CONFIG = Layer("config", "c", Path("c"), 4, 5, "c" * 64, "d" * 64)


def test_the_layers_come_first_and_parameters_keep_their_order() -> None:
    line = command_line(("quiet", "console=ttyS0", 'x="a b"'), PACKAGES, CONFIG)
    assert line == (
        f'invar.packages={"a" * 64}:{"b" * 64}:1000 invar.config={"c" * 64}:{"d" * 64}:4 quiet console=ttyS0 x="a b"'
    )
    assert with_digest(line, "e" * 64) == f"invar.digest={'e' * 64} {line}"


def test_the_digest_is_what_the_architecture_says() -> None:
    line = command_line((), PACKAGES, CONFIG)
    said = {"cmdline": line, "config": "c" * 64, "initrd": "1" * 64, "kernel": "2" * 64, "packages": "a" * 64}
    expected = hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert (
        system_digest(line, packages=PACKAGES, config=CONFIG, kernel_sha256="2" * 64, initrd_sha256="1" * 64)
        == expected
    )


@pytest.mark.parametrize(
    ("param", "problem"),
    [("invar.digest=0", "Invar's own"), ("naïve=1", "printable ASCII"), ("a\nb", "printable ASCII"), ("", "printable")],
)
def test_impossible_parameters_are_refused(param: str, problem: str) -> None:
    with pytest.raises(InvarError, match=problem):
        command_line((param,), PACKAGES, CONFIG)


def test_a_line_that_the_kernel_would_cut_is_refused() -> None:
    shortest = len(with_digest(command_line((), PACKAGES, CONFIG), "0" * 64))
    command_line(("x" * (LIMIT - shortest - 1),), PACKAGES, CONFIG)
    with pytest.raises(InvarError, match="bytes long"):
        command_line(("x" * (LIMIT - shortest),), PACKAGES, CONFIG)
