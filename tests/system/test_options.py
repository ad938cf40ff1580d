"""What a configuration's own files set, and how two configurations differ in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from invar.core.events import Report
from invar.nixos.names import EmptyUniverse
from invar.system.evaluate import evaluate, settings
from invar.system.options import (
    OptionChange,
    Setting,
    diff_settings,
    settings_from_data,
    settings_to_data,
)

Settings = dict[str, Setting]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("code")


@pytest.fixture
def settings_in(tmp_path: Path, cache: Path) -> Callable[..., Settings]:
    """The settings of a configuration with this body, and other files beside it."""

    def make(body: str, **files: str) -> Settings:
        (tmp_path / "configuration.nix").write_text(f"{{ pkgs, lib, config, ... }}:\n{{\n{body}\n}}\n")
        for name, text in files.items():
            (tmp_path / f"{name}.nix").write_text(text)
        evaluation = evaluate(tmp_path / "configuration.nix", EmptyUniverse(), Report(), cache_dir=cache)
        return settings(evaluation)

    return make


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [
        ('networking.hostName = "a" + "b";', "networking.hostName", '"ab"'),
        ("services.nginx.enable = true;", "services.nginx.enable", "true"),
        ("environment.systemPackages = [ pkgs.jq pkgs.nginx ];", "environment.systemPackages", ("jq", "nginx")),
        ('services.nginx.virtualHosts.a.serverName = "b";', "services.nginx.virtualHosts.a.serverName", '"b"'),
        ('services.nginx.virtualHosts."a.b".default = true;', 'services.nginx.virtualHosts."a.b".default', "true"),
        (
            'users.users.joe = lib.mkIf true { isNormalUser = true; description = "J"; };',
            "users.users.joe.description",
            '"J"',
        ),
        ("environment.etc.a.source = ./configuration.nix;", "environment.etc.a.source", "./configuration.nix"),
        (
            'networking.hostName = lib.mkMerge [ (lib.mkDefault "x") (lib.mkForce "y") ];',
            "networking.hostName",
            '"y"',
        ),
    ],
)
def test_a_setting_is_the_evaluated_value(
    settings_in: Callable[..., Settings], body: str, path: str, value: str | tuple[str, ...]
) -> None:
    found = settings_in(body)
    assert found[path].value == value
    assert found[path].places == ("configuration.nix:3",)


def test_what_is_not_set_or_set_by_the_library_is_not_there(settings_in: Callable[..., Settings]) -> None:
    found = settings_in('networking.hostName = "a"; users.users.joe = lib.mkIf false { description = "J"; };')
    assert set(found) == {"networking.hostName"}


def test_lists_of_several_files_are_joined_and_know_all_places(settings_in: Callable[..., Settings]) -> None:
    found = settings_in(
        "imports = [ ./other.nix ];\nnetworking.firewall.allowedTCPPorts = [ 80 ];",
        other="{ networking.firewall.allowedTCPPorts = [ 443 ]; }",
    )
    setting = found["networking.firewall.allowedTCPPorts"]
    assert sorted(setting.value) == ["443", "80"]
    assert sorted(setting.places) == ["configuration.nix:4", "other.nix:1"]


@pytest.mark.parametrize(
    "body",
    [
        'users.users.joe = { isNormalUser = true; hashedPassword = "$y$hunter2"; };',
        'services.openssh.extraConfig = "token = hunter2abc";',
        'environment.etc."api-token".text = "hunter2";',
    ],
)
def test_what_looks_secret_is_not_shown(settings_in: Callable[..., Settings], body: str) -> None:
    found = settings_in(body)
    assert found
    assert not any("hunter2" in str(setting.value) for setting in found.values())


@pytest.mark.parametrize(
    "body", ["services.openssh.settings.PasswordAuthentication = false;", "security.sudo.wheelNeedsPassword = true;"]
)
def test_what_only_speaks_of_passwords_is_shown(settings_in: Callable[..., Settings], body: str) -> None:
    assert [setting.value for setting in settings_in(body).values()] == [body.split()[-1].rstrip(";")]


def test_a_value_that_cannot_be_evaluated_is_told_as_such(settings_in: Callable[..., Settings]) -> None:
    found = settings_in('services.nginx.virtualHosts.a = { default = true; root = throw "no"; };')
    assert found["services.nginx.virtualHosts.a.root"].value == "<error>"
    assert found["services.nginx.virtualHosts.a.default"].value == "true"


OLD = {"a": Setting("1", ("c.nix:1",)), "b": Setting(("x", "y")), "c": Setting("true")}
NEW = {"a": Setting("1", ("c.nix:9",)), "b": Setting(("y", "z")), "d": Setting("false")}


def test_the_difference_of_settings() -> None:
    found = diff_settings(OLD, NEW)
    assert found == (
        OptionChange("b", OLD["b"], NEW["b"]),
        OptionChange("c", OLD["c"], None),
        OptionChange("d", None, NEW["d"]),
    )
    assert (found[0].added, found[0].removed, found[0].of_list) == (("z",), ("x",), True)
    assert not diff_settings(OLD, OLD)


def test_settings_survive_json() -> None:
    assert settings_from_data(settings_to_data(NEW), "here") == NEW
