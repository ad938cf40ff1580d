"""pkgs: names, the shape of packages, trivial builders."""

from __future__ import annotations

import pytest

from invar.core.errors import InvarError
from invar.nix import NixError


def value(evaluate, expression):
    return evaluate(f"environment.etc.probe.text = builtins.toJSON ({expression});").text("probe")


def failure(evaluate, expression):
    with pytest.raises((NixError, InvarError)) as caught:
        value(evaluate, expression)
    return f"{caught.value} {getattr(caught.value, 'hint', '')}"


def test_nixpkgs_names_mean_debian_packages(evaluate):
    assert value(evaluate, "pkgs.awscli2.debian") == '["awscli"]'
    assert value(evaluate, "pkgs.postgresql.psqlSchema") == '"17"'
    assert value(evaluate, 'lib.getExe pkgs.ripgrep == "${pkgs.ripgrep}/bin/rg"') == "true"


def test_every_name_of_trixie_is_there(evaluate):
    assert value(evaluate, "pkgs.cowsay.pname") == '"cowsay"'
    assert value(evaluate, "pkgs ? sl && pkgs ? libnginx-mod-stream && !(pkgs ? no-such-thing)") == "true"
    assert value(evaluate, "pkgs.no-such-thing or 1") == "1"


def test_a_version_is_upstream_s(evaluate):
    assert (
        value(evaluate, "[ pkgs.openssh.version pkgs.nginx.version pkgs.openssh.name ]")
        == '["10.0p1","1.26.3","openssh-10.0p1"]'
    )


def test_a_package_is_a_store_path_that_links_to_its_programs(evaluate):
    made = evaluate('environment.etc.probe.text = "${pkgs.nginx}/bin/nginx";')
    path = made.text("probe").removesuffix("/bin/nginx")
    assert (
        path.startswith("/nix/store/")
        and path.endswith("-nginx-1.26.3")
        and len(path.split("/")[3].split("-")[0]) == 32
    )
    assert made.configuration.objects.get(path).package == ("nginx",)


@pytest.mark.parametrize("expression", ["pkgs.ngnix", "with pkgs; [ ngnix.name ]"])
def test_an_unknown_package_names_its_neighbours(evaluate, expression):
    assert "nginx" in failure(evaluate, expression)


@pytest.mark.parametrize(
    "expression",
    ['pkgs.runCommand "x" { } ""', 'pkgs.stdenv.mkDerivation { name = "x"; }', "pkgs.jq.overrideAttrs (_: { })"],
)
def test_builders_say_that_there_are_none(evaluate, expression):
    assert "runs no builders" in failure(evaluate, expression)


def test_scripts_have_an_interpreter_and_can_be_run(evaluate):
    made = evaluate('environment.etc.probe.source = pkgs.writeShellScript "hello" "echo hello";')
    path = made.link("probe")
    node = made.configuration.objects.get(path).entries[""]
    assert node["text"] == "#!/bin/bash\necho hello\n" and node["executable"]


def test_shell_applications_find_their_inputs(evaluate):
    made = evaluate(
        """environment.etc.probe.text = lib.getExe (pkgs.writeShellApplication {
          name = "fetch"; runtimeInputs = [ pkgs.curl pkgs.jq ]; text = "curl x | jq ."; });"""
    )
    path = made.text("probe")
    assert path.endswith("-fetch/bin/fetch")
    text = made.script(path)
    assert "set -o errexit\nset -o nounset\nset -o pipefail\n" in text
    assert "-curl-0/bin:" in text and "-jq-0/bin:$PATH" in text
    made_of = made.configuration.objects.closure([path])
    assert {package for one in made_of for package in one.package} == {"curl", "jq"}


def test_text_files_directories_and_farms(evaluate):
    made = evaluate(
        """environment.etc.a.source = pkgs.writeTextDir "share/a.txt" "A";
        environment.etc.b.source = pkgs.linkFarm "farm" [ { name = "x/y"; path = pkgs.writeText "y" "Y"; } ];
        environment.etc.c.source = pkgs.symlinkJoin {
          name = "both"; paths = [ (pkgs.writeTextDir "one" "1") (pkgs.writeTextDir "two" "2") ];
        };
        environment.etc.d.source = pkgs.buildEnv { name = "tools"; paths = [ pkgs.jq pkgs.curl ]; };"""
    )
    objects = made.configuration.objects
    assert objects.get(made.link("a")).entries == {"share/a.txt": {"type": "file", "text": "A", "executable": False}}
    farm = objects.get(made.link("b"))
    assert farm.entries["x/y"]["type"] == "symlink" and farm.references == {farm.entries["x/y"]["target"]}
    assert set(objects.get(made.link("c")).entries) == {"one", "two"}
    assert objects.get(made.link("d")).package == ("jq", "curl")


def test_formats_write_settings(evaluate):
    made = evaluate(
        """environment.etc = {
          json.source = (pkgs.formats.json { }).generate "a.json" { b = [ 1 true null ]; };
          toml.source = (pkgs.formats.toml { }).generate "a.toml" { x = 1; t.y = "z"; l = [ { n = 1; } { n = 2; } ]; };
          ini.source = (pkgs.formats.ini { }).generate "a.ini" { main.key = "v"; };
          kv.source = (pkgs.formats.keyValue { }).generate "a.env" { A = 1; };
        };"""
    )
    assert made.script(made.link("json")) == '{"b":[1,true,null]}\n'
    assert made.script(made.link("toml")) == 'x = 1\n\n[t]\ny = "z"\n\n[[l]]\nn = 1\n\n[[l]]\nn = 2\n'
    assert made.script(made.link("ini")) == "[main]\nkey=v\n"
    assert made.script(made.link("kv")) == "A=1\n"


def test_python_with_packages_installs_them(evaluate):
    made = evaluate(
        "environment.systemPackages = [ (pkgs.python3.withPackages (ps: [ ps.requests ps.pyyaml or ps.yaml ])) ];"
    )
    assert {"python3", "python3-requests", "python3-yaml"} <= made.packages


def test_call_package_fills_in_packages(evaluate):
    assert (
        value(
            evaluate,
            '(pkgs.callPackage ({ writeText, jq, extra }: { name = jq.pname + extra; }) { extra = "!"; }).name',
        )
        == '"jq!"'
    )


def test_all_names_can_be_listed(evaluate):
    assert int(value(evaluate, "builtins.length (builtins.attrNames pkgs)")) > 60_000
