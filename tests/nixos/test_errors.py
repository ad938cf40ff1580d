"""What a wrong configuration is told."""

from __future__ import annotations

import pytest

from invar.core.errors import InvarError
from invar.nix import NixError, render


def told(evaluate, body, path="system.build.invar", **more):
    with pytest.raises((NixError, InvarError)) as caught:
        evaluate(body, **more).get(path)
    error = caught.value
    return render(error) if isinstance(error, NixError) else str(error)


def test_an_unknown_option_names_its_neighbours_and_its_place(evaluate):
    text = told(evaluate, "services.nginx.enabel = true;")
    assert "services.nginx.enabel" in text and "does not exist" in text
    assert "services.nginx.enable" in text
    assert "configuration.nix:3" in text


def test_a_wrong_type_shows_definition_and_declaration(evaluate):
    text = told(evaluate, 'services.openssh = { enable = true; ports = "22"; };')
    assert "services.openssh.ports" in text and "configuration.nix" in text and "sshd.nix" in text


def test_conflicting_definitions_are_both_shown(evaluate):
    text = told(
        evaluate,
        'imports = [ ./other.nix ]; networking.hostName = "a";',
        files={"other.nix": '{ networking.hostName = "b"; }'},
    )
    assert "other.nix" in text and "configuration.nix" in text


def test_an_unknown_package_in_a_list_is_an_undefined_variable(evaluate):
    text = told(evaluate, "environment.systemPackages = with pkgs; [ ngnix ];")
    assert "undefined variable 'ngnix'" in text and "nginx" in text and "configuration.nix:3" in text


def test_files_outside_the_project_are_not_read(evaluate, tmp_path):
    (tmp_path / "secret.nix").write_text("{ }")
    text = told(evaluate, f"imports = [ {tmp_path}/secret.nix ];")
    assert f"{tmp_path}/secret.nix" in text and "forbidden" in text


def test_all_failed_assertions_are_listed_at_once(evaluate):
    text = told(evaluate, 'users.users.a = { }; assertions = [ { assertion = false; message = "not today"; } ];')
    assert "users.users.a" in text and "- not today" in text


def test_warnings_are_told_once_each(evaluate):
    assert "mind the gap" in evaluate('warnings = [ "mind the gap" ];').warnings


def test_a_missing_configuration_is_told(tmp_path):
    from invar.nixos.configuration import evaluate_configuration
    from invar.nixos.names import EmptyUniverse

    with pytest.raises(InvarError, match="there is no configuration at"):
        evaluate_configuration(tmp_path, EmptyUniverse(), cache_dir=None)


def test_an_attribute_that_is_not_there_names_its_neighbours(evaluate):
    made = evaluate("")
    with pytest.raises(NixError, match="services has no attribute 'ngnix'") as caught:
        made.get("services.ngnix.enable")
    assert "nginx" in str(caught.value.hint)
