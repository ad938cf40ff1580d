"""Outputs: lazy, of self and the inputs; what the native engine gives for nixpkgs and nixos-generators."""

from __future__ import annotations

from pathlib import Path

import pytest

from flakes.conftest import Open, Write, repository, value
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.flakes.target import open_target
from invar.nixos.names import EmptyUniverse

BASE = """{ modulesPath, ... }: {
  imports = [ "${modulesPath}/virtualisation/amazon-image.nix" ];
  networking.hostName = "web";
}
"""
ISSUE = """{
  outputs = { nixpkgs, nixos-generators, ... }: {
    packages.x86_64-linux.amazonImage = nixos-generators.nixosGenerate {
      system = "x86_64-linux"; modules = [ ./configuration.nix ]; format = "amazon";
    };
  };
}
"""


def test_outputs_see_themselves_and_their_tree(write: Write, opened: Open) -> None:
    flake = opened(
        write(
            "f",
            {
                "flake.nix": """{
  outputs = { self }: {
    one = 1; two = self.one + self.outputs.one; broken = throw "never asked for";
    text = builtins.readFile "${self}/sub/text"; nested = import ./sub; here = "${self}" == self.outPath;
    type = self._type; names = builtins.attrNames (builtins.readDir ./.);
  };
}""",
                "sub/text": "hello",
                "sub/default.nix": "builtins.pathExists ../flake.nix",
            },
        )
    )
    assert [value(flake, name) for name in ("two", "text", "nested", "here", "type")] == [
        2,
        "hello",
        True,
        True,
        "flake",
    ]
    assert value(flake, "names") == ["flake.nix", "sub"]


def test_the_tree_is_named_by_its_hash_and_not_by_its_place(write: Write, opened: Open) -> None:
    files = {"flake.nix": "{ outputs = { self }: { path = toString ./x; out = self.outPath; hash = self.narHash; }; }"}
    one, other = opened(write("here", files)), opened(write("there", files))
    assert value(one, "path") == value(other, "path") == value(one, "out") + "/x"
    assert value(one, "path").startswith("/nix/store/")


def test_pure_evaluation_reads_nothing_beside_the_flake(write: Write, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    text = (
        '{ outputs = { self }: { a = builtins.readFile %s; b = builtins.getEnv "HOME"; c = builtins ? currentTime; }; }'
    )
    directory = write("f", {"flake.nix": text % (tmp_path / "secret")})
    (directory / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InvarError, match="forbidden in pure eval"):
        value(opened(directory), "a")
    assert value(opened(directory), "b") == "" and value(opened(directory), "c") is False
    assert value(opened(directory, impure=True), "a") == "s"
    (directory / "flake.nix").write_text("{ outputs = { self }: { a = builtins.readFile ./link; }; }")
    with pytest.raises(InvarError, match="forbidden in pure eval"):
        value(opened(directory), "a")


def test_only_what_git_tracks_is_there(write: Write, opened: Open, warnings: list[str]) -> None:
    directory = write(
        "f",
        {
            "flake.nix": "{ outputs = { self }: { all = builtins.attrNames (builtins.readDir ./.);"
            " new = import ./new.nix; is = self.rev or self.dirtyRev; there = builtins.pathExists ./new.nix; }; }",
            "old.nix": "1",
        },
    )
    repository(directory)
    (directory / "new.nix").write_text("2")
    flake = opened(directory)
    assert value(flake, "all") == ["flake.nix", "old.nix"] and value(flake, "there") is False
    assert len(value(flake, "is")) == 40 and not warnings
    with pytest.raises(InvarError) as caught:
        value(flake, "new")
    assert "git add" in str(caught.value) and str(directory / "new.nix") in str(caught.value)
    (directory / "old.nix").write_text("3")
    assert value(opened(directory), "is").endswith("-dirty")
    assert any("dirty" in text for text in warnings)


def test_the_flake_of_the_issue_builds_the_system_of_its_configuration(
    write: Write, opened: Open, tmp_path: Path, code: Path
) -> None:
    from invar.system.evaluate import evaluate

    directory = write("f", {"flake.nix": ISSUE, "configuration.nix": BASE})
    flake = opened(directory)
    image = ("packages", "x86_64-linux", "amazonImage")
    assert value(flake, *image, "type") == "derivation"
    assert value(flake, *image, "outPath").startswith("/nix/store/")
    assert value(flake, *image, "drvPath").endswith(".drv")
    target = open_target(flake, "amazonImage")
    assert (target.name, target.format, target.lock) == ("amazonImage", "amazon", directory / "invar.lock")
    system = target.evaluate(EmptyUniverse(), Report()).system
    plain = evaluate(directory / "configuration.nix", EmptyUniverse(), Report(), cache_dir=code).system
    assert system.spec_digest == plain.spec_digest


def test_configurations_take_special_arguments_overlays_and_modules_of_inputs(write: Write, opened: Open) -> None:
    motd = 'nixosModules.motd = { config, ... }: { users.motd = "from ${config.networking.hostName}"; };'
    modules = write("modules", {"flake.nix": f"{{ outputs = {{ self }}: {{ {motd} }}; }}"})
    directory = write(
        "f",
        {
            "configuration.nix": BASE,
            "flake.nix": """{
  inputs.modules.url = "path:MODULES";
  outputs = { self, nixpkgs, modules }: {
    overlays.default = final: prev: {
      greet = final.writeShellScriptBin "greet" "echo ${prev.hello.pname}";
      jq = prev.ripgrep;
    };
    nixosConfigurations.web = nixpkgs.lib.nixosSystem {
      system = "x86_64-linux";
      specialArgs = { colour = "green"; };
      modules = [
        ./configuration.nix
        modules.nixosModules.motd
        ({ colour, pkgs, ... }: {
          nixpkgs.overlays = [ self.overlays.default ];
          environment.etc.colour.text = colour;
          environment.systemPackages = [ pkgs.greet pkgs.jq ];
        })
      ];
    };
    nixosConfigurations.arm = nixpkgs.lib.nixosSystem { system = "aarch64-linux"; modules = [ ./configuration.nix ]; };
    packages.x86_64-linux.image = self.nixosConfigurations.web.config.system.build.amazonImage;
    set = (import nixpkgs { system = "x86_64-linux"; overlays = [ self.overlays.default ]; }).greet.name;
    extended = (nixpkgs.legacyPackages.x86_64-linux.extend self.overlays.default).jq.pname;
    architecture = self.nixosConfigurations.arm.config.nixpkgs.architecture;
    evaluate = import "${nixpkgs}/nixos/lib/eval-config.nix";
    old = (self.evaluate { system = "x86_64-linux"; modules = [ ./configuration.nix ]; }).config.networking.hostName;
  };
}""".replace("MODULES", str(modules)),
        },
    )
    flake = opened(directory)
    assert value(flake, "set") == "greet" and value(flake, "extended") == "ripgrep"
    assert value(flake, "architecture") == "arm64" and value(flake, "old") == "web"
    target = open_target(flake, "image")
    assert (target.name, target.lock.name) == ("web", "invar-web.lock")
    system = target.evaluate(EmptyUniverse(), Report()).system
    texts = {entry.target: entry.text for entry in system.etc}
    assert texts["colour"] == "green" and texts["motd"] == "from web"
    assert "ripgrep" in system.packages and "jq" not in system.packages


@pytest.mark.parametrize(
    ("outputs", "path", "said"),
    [
        pytest.param("{ self }: self", ("x",), ["infinite recursion", "flake.nix"], id="outputs-are-self"),
        pytest.param(
            "{ self }: { x = self.y; y = self.x; }", ("x",), ["infinite recursion", "flake.nix:"], id="through-self"
        ),
        pytest.param("{ self }: { hello = 1; }", ("helo",), ["no attribute 'helo'", "did you mean hello?"], id="near"),
        pytest.param("{ self }: 3", ("x",), ["outputs are an integer"], id="no-set"),
        pytest.param("3", ("x",), ["'outputs' is an integer"], id="no-function"),
        pytest.param("{ self, nixpkgz }: { x = nixpkgz; }", ("x",), ["flake:nixpkgz", "nixpkgs"], id="unknown-input"),
        pytest.param("{ self }: { x = 1 + ; }", ("x",), ["syntax error", "flake.nix:1:"], id="syntax"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    outputs: str, path: tuple[str, ...], said: list[str], write: Write, opened: Open
) -> None:
    directory = write("f", {"flake.nix": f"{{ outputs = {outputs}; }}"})
    with pytest.raises(InvarError) as caught:
        value(opened(directory), *path)
    for part in said:
        assert part in str(caught.value)
    assert "/nix/store" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{ input.a.url = "path:/x"; outputs = _: { }; }', ["unsupported attribute 'input'", "inputs"]),
        ('{ inputs.a.ulr = "path:/x"; outputs = _: { }; }', ["unexpected attribute 'ulr'", "url"]),
        ("{ inputs.a.url = 3; outputs = _: { }; }", ["url is an integer"]),
        ('{ inputs.a.url = "path:/there/is/none"; outputs = _: { }; }', ["/there/is/none"]),
        ('{ inputs.a.follows = "b"; outputs = _: { }; }', ["follows 'b'", "no input"]),
        ("{ description = 1; outputs = _: { }; }", ["description is an integer"]),
        ("{ }", ["lacks attribute 'outputs'"]),
    ],
)
def test_a_wrong_flake_is_told(text: str, said: list[str], write: Write, opened: Open) -> None:
    directory = write("f", {"flake.nix": text})
    with pytest.raises(InvarError) as caught:
        opened(directory)
    for part in said:
        assert part in str(caught.value)
