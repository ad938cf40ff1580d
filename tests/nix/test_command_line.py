"""`python -m invar.nix` takes nix-instantiate's arguments and prints what it prints."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from invar.nix.__main__ import main


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


def test_values_are_lazy_unless_strict(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--eval", "-E", "{ a = 1 + 1; b = [ (2 + 3) ]; }")[1] == "{ a = <CODE>; b = <CODE>; }\n"
    assert run(capsys, "--eval", "--strict", "-E", "{ a = 1 + 1; }")[1] == "{ a = 2; }\n"


def test_json_xml_and_parse(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "--eval", "--json", "-E", "{ a = [ 1 null ]; }")[1]) == {"a": [1, None]}
    xml = run(capsys, "--eval", "--xml", "--strict", "-E", "{ a = 1; }")[1]
    assert xml.splitlines()[3] == '    <attr column="3" line="1" name="a" path="«string»">'
    assert run(capsys, "--parse", "-E", "x: x + 1")[1] == "(x: (x + 1))\n"


def test_attributes_and_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f.nix"
    file.write_text('{ n, s ? "d" }: { a.b = [ (n + 1) s ]; }')
    code, out, _ = run(
        capsys, "--eval", "--strict", str(file), "-A", "a.b", "--arg", "n", "1 + 1", "--argstr", "s", "t"
    )
    assert (code, out) == (0, '[ 3 "t" ]\n')
    assert run(capsys, "--eval", str(file), "-A", "a.b.1", "--arg", "n", "0")[1] == '"d"\n'
    code, _, err = run(capsys, "--eval", str(file), "-A", "x", "--arg", "n", "0")
    assert code == 1
    assert err.startswith("error: attribute 'x' in selection path 'x' not found")


def test_search_path_and_stdin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.nix").write_text("7")
    monkeypatch.setattr("sys.stdin", io.StringIO("import <p/x.nix>"))
    assert run(capsys, "--eval", "-I", f"p={tmp_path}", "-")[1] == "7\n"


def test_errors_go_to_stderr_with_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--eval", "-E", "1 + { }")
    assert (code, out) == (1, "")
    assert err.splitlines()[0] == "error: cannot add a set to an integer"
    assert "             |   ^" in err


def test_an_unknown_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--frobnicate")
    assert code == 1
    assert err.splitlines()[0] == "error: unrecognised flag '--frobnicate'"


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--help")[1].startswith("usage: python -m invar.nix [--eval]")
    assert run(capsys, "--version")[1].startswith("nix-instantiate (")


def test_a_function_waits_for_arguments_unless_a_path_goes_into_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--eval", "-E", "{ n ? 1 }: { a = n; }")[1] == "<LAMBDA>\n"
    assert run(capsys, "--eval", "-E", "{ n ? 1 }: { a = n; }", "-A", "a")[1] == "1\n"
    code, _, err = run(capsys, "--eval", "-E", "{ n }: { a = n; }", "-A", "a")
    assert code == 1
    assert "cannot evaluate a function that has an argument without a value ('n')" in err


def test_calls_are_limited(capsys: pytest.CaptureFixture[str]) -> None:
    count = "let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 5000"
    assert run(capsys, "--eval", "-E", count)[1] == "5000\n"
    code, _, err = run(capsys, "--eval", "--option", "max-call-depth", "100", "-E", count)
    assert code == 1
    assert err.startswith("error: stack overflow; max-call-depth exceeded")


def test_files_are_found_in_the_search_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.nix").write_text("7")
    assert run(capsys, "--find-file", "p/x.nix", "-I", f"p={tmp_path}")[1] == f"{tmp_path}/x.nix\n"
