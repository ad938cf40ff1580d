"""`builtins.getFlake`: any flake's value, inside of another evaluation, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from flakes.conftest import Open, Write, value
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.flakes.get import FlakeGetter
from invar.nix import Evaluator, NixError, NixRestricted

OUTER = """{
  inputs.sub.url = "path:./sub";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";
  outputs = { self, nixpkgs, sub }: {
    inherit (sub) v;
    n = nixpkgs.lib.concatStrings [ "a" "b" ];
    d = self.sourceInfo ? rev;
  };
}"""
FILES = {"flake.nix": OUTER, "sub/flake.nix": "{ outputs = _: { v = 5; }; }"}


def getter(*, pure: bool = False, impure: bool = False) -> Evaluator:
    return Evaluator(features=["flakes"], pure=pure, fetch_unlocked=impure, flakes=FlakeGetter(Report(), {}))


def test_a_flake_of_this_machine_and_its_inputs(write: Write) -> None:
    place = write("f", FILES)
    for name, expected in (("v", 5), ("n", "ab"), ("d", False)):
        assert getter().eval_string(f'(builtins.getFlake "{place}").{name}') == expected
    assert getter().eval_string(f'(builtins.getFlake "path:{place}?dir=sub").v') == 5
    assert not (place / "flake.lock").exists()


def test_a_flake_may_ask_for_another(write: Write, opened: Open) -> None:
    inner = write("inner", {"flake.nix": "{ outputs = _: { v = 7; }; }"})
    locked = getter().eval_string(f'(builtins.getFlake "{inner}").narHash').replace("+", "%2B")
    text = '{ outputs = _: { v = (builtins.getFlake "path:%s%s").v + 1; }; }'
    assert value(opened(write("outer", {"flake.nix": text % (inner, f"?narHash={locked}")})), "v") == 8
    with pytest.raises(InvarError, match="cannot call 'getFlake' on unlocked flake reference"):
        value(opened(write("unlocked", {"flake.nix": text % (inner, "")})), "v")


def test_what_may_change_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(NixRestricted, match=r"on unlocked flake reference 'github:a/b' \(use --impure to override\)"):
        getter().eval_string('builtins.getFlake "github:a/b"')
    place = write("f", {"flake.nix": '{ inputs.x.url = "github:a/b"; outputs = { x, ... }: { y = x; }; }'})
    with pytest.raises(NixRestricted, match="cannot update unlocked flake input 'github:a/b' in pure mode"):
        getter().eval_string(f'(builtins.getFlake "{place}").y')
    with pytest.raises(NixError, match=f"there is no directory {tmp_path}/none"):
        getter().eval_string(f'builtins.getFlake "{tmp_path}/none"')
