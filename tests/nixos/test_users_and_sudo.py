"""users.* and security.sudo."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from invar.core.errors import InvarError


def user(made, name):
    return next(one for one in made.system["users"] if one["name"] == name)


def test_a_normal_user_has_home_shell_and_group(evaluate):
    made = evaluate(
        'users.users.deploy = { isNormalUser = true; description = "Deploys"; extraGroups = [ "wheel" ]; };'
    )
    assert user(made, "deploy") == {
        "name": "deploy",
        "uid": None,
        "group": "users",
        "extra_groups": ["wheel"],
        "description": "Deploys",
        "home": "/home/deploy",
        "create_home": True,
        "shell": "/bin/bash",
        "normal": True,
        "hashed_password": None,
    }


def test_a_system_user_can_not_log_in(evaluate):
    found = user(evaluate('users.users.app = { isSystemUser = true; group = "app"; }; users.groups.app = { };'), "app")
    assert found["shell"] == "/usr/sbin/nologin" and found["home"] == "/var/empty" and not found["create_home"]


def test_a_shell_package_is_installed_and_named_by_its_path(evaluate):
    made = evaluate("users.users.a = { isNormalUser = true; shell = pkgs.zsh; };")
    assert user(made, "a")["shell"] == "/usr/bin/zsh"
    assert "zsh" in made.packages


def test_groups_and_wheel(evaluate):
    made = evaluate('users.groups.ops = { gid = 5000; members = [ "a" ]; };')
    groups = {group["name"]: group for group in made.system["groups"]}
    assert groups["ops"] == {"name": "ops", "gid": 5000, "members": ["a"]}
    assert groups["users"]["gid"] == 100 and groups["wheel"]["gid"] is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("users.users.a = { };", "Exactly one of users.users.a.isSystemUser and users.users.a.isNormalUser"),
        ("users.users.a.isSystemUser = true;", "users.users.a.group is not set"),
        ('users.users.a = { isNormalUser = true; password = "x"; };', "a password in plain text would be readable"),
        (
            "users.users.a = { isNormalUser = true; uid = 7; }; users.users.b = { isNormalUser = true; uid = 7; };",
            "all have the number 7",
        ),
    ],
)
def test_accounts_that_can_not_be(evaluate, body, told):
    with pytest.raises(InvarError) as failure:
        evaluate(body)
    assert told in str(failure.value)


def test_a_hash_is_taken_as_it_is(evaluate):
    assert user(evaluate('users.users.root.hashedPassword = "$y$j9T$x";'), "root")["hashed_password"] == "$y$j9T$x"


def test_nobody_can_administer_is_a_warning(evaluate):
    assert any("nobody can administer" in warning for warning in evaluate("").warnings)
    assert not evaluate("users.allowNoPasswordLogin = true;").warnings


def test_wheel_with_and_without_a_password(evaluate):
    entry = evaluate("").etc["sudoers"]
    assert "%wheel\tALL=(ALL:ALL)\tSETENV:ALL\n" in entry["text"] and entry["mode"] == "0440"
    text = evaluate("security.sudo.wheelNeedsPassword = false;").text("sudoers")
    assert "%wheel\tALL=(ALL:ALL)\tSETENV:NOPASSWD:ALL\n" in text


def test_own_rules_come_after_wheel_s(evaluate):
    text = evaluate(
        """security.sudo.extraRules = [
          {
            users = [ "backup" 1000 ]; groups = [ "ops" ]; runAs = "root";
            commands = [ { command = "/usr/bin/rsync"; options = [ "NOPASSWD" ]; } "/bin/ls" ];
          }
        ];
        security.sudo.extraConfig = "Defaults lecture=never";"""
    ).text("sudoers")
    assert "backup\tALL=(root)\tNOPASSWD:/usr/bin/rsync, /bin/ls\n" in text
    assert "#1000\tALL=(root)" in text and "%ops\tALL=(root)" in text
    assert text.index("%wheel") < text.index("backup")
    assert "Defaults lecture=never" in text


@pytest.mark.skipif(shutil.which("visudo") is None, reason="visudo is not installed here")
def test_visudo_itself_accepts_the_text(evaluate, tmp_path):
    sudoers = tmp_path / "sudoers"
    sudoers.write_text(evaluate("security.sudo.wheelNeedsPassword = false;").text("sudoers"))
    sudoers.chmod(0o440)
    done = subprocess.run(["visudo", "--check", "--file", str(sudoers)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
