"""The verbs on flakes, and the flake of the issue under both: real Nix with stub inputs, and Invar."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import invar, succeed
from flakes.conftest import STUBS, Write
from flakes.conftest import repository as committed
from flakes.test_outputs import BASE, ISSUE
from invar.core.events import Report
from invar.core.home import Home
from invar.flakes.flake import open_flake
from invar.flakes.place import local_reference
from invar.flakes.settings import Settings
from invar.flakes.target import open_target
from invar.image.formats import FORMATS
from invar.nixos.names import EmptyUniverse

OVERRIDES = [
    part for name in ("nixpkgs", "nixos-generators") for part in ("--override-input", name, f"path:{STUBS / name}")
]
SEVERAL = """{
  description = "two machines";
  outputs = { self, nixpkgs, nixos-generators }: {
    nixosConfigurations.web = nixpkgs.lib.nixosSystem { system = "x86_64-linux"; modules = [ ./configuration.nix ]; };
    nixosConfigurations.arm = nixpkgs.lib.nixosSystem { system = "aarch64-linux"; modules = [ ./configuration.nix ]; };
    packages = nixpkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: {
      default = self.nixosConfigurations.web.config.system.build.amazonImage;
      other = nixos-generators.nixosGenerate { inherit system; modules = [ ./configuration.nix ]; format = "vmware"; };
      tool = nixpkgs.legacyPackages.${system}.writeShellScriptBin "tool" "true";
    });
    overlays.default = final: prev: { };
    nixosModules.base = ./configuration.nix;
    checks.x86_64-linux.tool = self.packages.x86_64-linux.tool;
    answer = 42;
  };
}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def kinds(tree: Any) -> Any:
    """A tree of `flake show` with names and kinds only."""
    if isinstance(tree.get("type"), str):
        return tree["type"]
    return {name: kinds(below) for name, below in tree.items()}


@pytest.mark.parametrize("text", [ISSUE, SEVERAL], ids=["issue", "several"])
def test_both_engines_see_the_same_outputs(text: str, write: Write, nix: Callable[..., Any], home: Home) -> None:
    directory = write("f", {"flake.nix": text, "configuration.nix": BASE})
    ours = succeed("--quiet", "flake", "show", directory, "--json", home=home).json()
    theirs = nix("flake", "show", "--json", f"path:{directory}", *OVERRIDES)
    assert kinds(ours) == kinds(theirs)
    image = "packages.x86_64-linux." + ("amazonImage" if text is ISSUE else "other")
    for attribute in ("type", "outputName", "system"):
        said = nix("eval", "--json", f"path:{directory}#{image}.{attribute}", *OVERRIDES)
        assert succeed("-q", "eval", f"{directory}#{image}.{attribute}", "--json", home=home).json() == said
    assert succeed("-q", "eval", f"{directory}#{image}.drvPath", "--json", home=home).json().endswith(".drv")


def test_everything_holds_or_what_does_not_is_named(write: Write, home: Home) -> None:
    directory = write("f", {"flake.nix": SEVERAL, "configuration.nix": BASE})
    done = invar("flake", "check", directory, "--json", home=home)
    assert done.code == 0, done.out
    checked = {one["path"] for one in done.json()["outputs"]}
    assert {"nixosConfigurations.web", "packages.x86_64-linux.other", "overlays.default", "answer"} <= checked
    (directory / "configuration.nix").write_text(BASE.replace("networking", "services.nginx.enabel = true; networking"))
    (directory / "flake.nix").write_text(SEVERAL.replace("final: prev: { }", "3"))
    done = invar("flake", "check", directory, "--json", home=home)
    wrong = {one["path"] for one in done.json()["outputs"] if one["error"]}
    assert done.code == 1
    assert {"nixosConfigurations.web", "packages.x86_64-linux.default", "overlays.default"} <= wrong
    assert "answer" not in wrong and "packages.x86_64-linux.tool" not in wrong
    plain = invar("flake", "check", directory, home=home)
    assert "services.nginx.enabel" in plain.out and str(directory / "configuration.nix") in plain.out
    assert "/nix/store" not in plain.out


def test_eval_takes_outputs_and_leaves_configurations_as_they_were(write: Write, home: Home) -> None:
    directory = write("f", {"flake.nix": SEVERAL, "configuration.nix": BASE})
    name = "nixosConfigurations.web.config.networking.hostName"
    assert succeed("-q", "eval", f"{directory}#{name}", home=home).out.strip() == '"web"'
    assert succeed("-q", "eval", f"{directory}#answer", home=home).out.strip() == "42"
    assert succeed("-q", "eval", f"{directory}#web.class", home=home).out.strip() == '"nixos"'
    plain = write("plain", {"configuration.nix": BASE})
    assert succeed("-q", "eval", f"{plain}#networking.hostName", home=home).out.strip() == '"web"'
    assert json.loads(succeed("-q", "eval", directory, home=home).out)["host_name"] == "web"


def test_metadata_lock_and_update_tell_what_changes(write: Write, home: Home) -> None:
    other = committed(write("other", {"flake.nix": "{ outputs = _: { }; }"}))
    directory = write("f", {"flake.nix": f'{{ inputs.o.url = "git+file://{other}"; outputs = _: {{ }}; }}'})
    dry = invar("flake", "lock", directory, "--dry-run", "--json", home=home)
    assert dry.code == 3 and dry.json()["changes"][0]["input"] == "o" and not (directory / "flake.lock").exists()
    assert succeed("flake", "lock", directory, "--json", home=home).json()["written"] is True
    assert invar("flake", "lock", directory, "--dry-run", home=home).code == 0
    committed(write("other", {"more": "1"}))
    dry = invar("flake", "update", "--flake", directory, "--dry-run", "--json", home=home)
    assert dry.code == 3 and dry.json()["changes"][0]["old"] != dry.json()["changes"][0]["new"]
    succeed("flake", "update", "o", "--flake", directory, home=home)
    data = succeed("flake", "metadata", directory, "--json", home=home).json()
    assert data["locks"]["nodes"]["o"]["locked"]["revCount"] == 2 and data["originalUrl"] == f"path:{directory}"


def test_the_network_is_left_alone_when_it_should_be(write: Write, home: Home) -> None:
    inputs = 'inputs.u.url = "github:numtide/flake-utils";'
    directory = write("f", {"flake.nix": f"{{ {inputs} outputs = {{ self, u }}: {{ }}; }}"})
    done = invar("--offline", "flake", "show", directory, home=home)
    assert done.code == 1 and "--offline" in done.err and "github:numtide/flake-utils" in done.err
    assert not (directory / "flake.lock").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("build", "D#amazonImag"),
            ["packages.x86_64-linux.amazonImag", "did you mean packages.x86_64-linux.amazonImage"],
        ),
        (("build", "D#answer"), ["no configuration"]),
        (("build", "D/plain#x"), ["is no flake", "no flake.nix"]),
        (("build", "github:one"), ["no flake reference"]),
        (("flake", "show", "D/plain"), ["no flake"]),
        (("flake", "update", "nope", "--flake", "D"), ["no input 'nope'"]),
        (("--override-input", "nope", "path:/tmp", "flake", "show", "D"), ["no input 'nope' to override"]),
    ],
)
def test_what_is_not_there_is_told(arguments: tuple[str, ...], said: list[str], write: Write, home: Home) -> None:
    directory = write("f", {"flake.nix": ISSUE.replace("packages", "answer = 1; packages"), "configuration.nix": BASE})
    (directory / "plain").mkdir()
    done = invar(*(str(directory) + one[1:] if one[:1] == "D" else one for one in arguments), home=home)
    assert done.code in (1, 2)
    for part in said:
        assert part in done.err
    assert not (directory / "invar.lock").exists()


def test_every_format_is_an_image_of_a_configuration(repository: Path) -> None:
    table = json.loads((repository / "src/invar/nixos/modules/image/formats.json").read_text())
    assert set(FORMATS) <= {known["format"] for known in table.values()}


def test_two_outputs_are_compared_and_a_package_is_where_it_is_asked_for(write: Write, home: Home) -> None:
    directory = write("f", {"flake.nix": SEVERAL, "configuration.nix": BASE})
    text = BASE.replace("networking", "environment.systemPackages = [ pkgs.jq ]; networking").replace(
        "{ m", "{ pkgs, m"
    )
    other = write("g", {"flake.nix": SEVERAL, "configuration.nix": text})
    done = succeed("-q", "diff", f"{directory}#web", f"{other}#web", "--json", home=home).json()
    assert any("jq" in json.dumps(part) for part in done.values())
    flake = open_flake(local_reference(other), Settings(), Report())
    origins = open_target(flake, "web").evaluate(EmptyUniverse(), Report()).system.origins
    assert origins["jq"].startswith(str(other / "configuration.nix"))


def test_without_a_name_the_only_image_is_meant_and_its_fault_is_told(write: Write, home: Home) -> None:
    directory = write("f", {"flake.nix": ISSUE, "configuration.nix": BASE})
    assert json.loads(succeed("-q", "eval", directory, home=home).out)["host_name"] == "web"
    (directory / "flake.nix").write_text(ISSUE.replace('"amazon"', '"amazom"'))
    done = invar("eval", directory, home=home)
    assert done.code == 1 and "there is no format 'amazom'. Did you mean amazon?" in done.err
    (directory / "flake.nix").write_text(SEVERAL.replace("default =", "image ="))
    done = invar("build", directory, home=home)
    assert done.code == 2 and ".#nixosConfigurations.arm" in done.err and ".#other" in done.err
