"""services.openssh: sshd_config, host keys on /var, authorised keys in /etc."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from invar.core.errors import InvarError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/XJSGBq4XdWXP5Cs5+Qs5KGbpq2IjLj8PR3oYQNxLF"


def test_settings_become_lines(evaluate):
    text = evaluate(
        """services.openssh = {
          enable = true; ports = [ 22 2222 ];
          settings = { PasswordAuthentication = false; AllowUsers = [ "a" "b" ]; MaxAuthTries = 3; };
          settings.Ciphers = [ "x" "y" ];
          extraConfig = "Match User git";
        };"""
    ).text("ssh/sshd_config")
    lines = text.splitlines()
    for line in (
        "Port 22",
        "Port 2222",
        "PasswordAuthentication no",
        "AllowUsers a b",
        "MaxAuthTries 3",
        "Ciphers x,y",
        "UsePAM yes",
    ):
        assert line in lines
    assert lines[-1] == "Match User git"
    assert "Subsystem sftp /usr/lib/openssh/sftp-server" in text
    assert "AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/authorized_keys.d/%u" in lines


def test_host_keys_are_made_on_var_before_the_server(evaluate):
    made = evaluate("services.openssh.enable = true;")
    assert "HostKey /var/lib/ssh/ssh_host_ed25519_key" in made.text("ssh/sshd_config")
    unit = made.unit("sshd.service")
    assert "sshd-keygen.service" in next(line for line in unit.splitlines() if line.startswith("After="))
    assert "Wants=sshd-keygen.service" in unit and "RuntimeDirectory=sshd" in unit and "Type=notify" in unit
    keygen = made.unit("sshd-keygen.service")
    assert "ConditionFileNotEmpty=|!/var/lib/ssh/ssh_host_ed25519_key" in keygen
    (start,) = [line for line in keygen.splitlines() if line.startswith("ExecStart=")]
    script = made.script(start.removeprefix("ExecStart=").strip())
    assert 'ssh-keygen -q -t "ed25519"' in script
    assert script.index(".new") < script.index("mv "), "a key appears under its name when it is whole"


def test_host_keys_below_etc_are_refused(evaluate):
    with pytest.raises(InvarError) as failure:
        evaluate(
            'services.openssh = { enable = true; hostKeys = [ { type = "rsa"; bits = 4096; path = "/etc/ssh/k"; } ]; };'
        )
    assert "/etc is read-only" in str(failure.value)


def test_keys_of_users_are_files_of_etc(evaluate):
    made = evaluate(f'users.users.deploy = {{ isNormalUser = true; openssh.authorizedKeys.keys = [ "{KEY}" ]; }};')
    entry = made.etc["ssh/authorized_keys.d/deploy"]
    assert entry["text"] == KEY + "\n" and entry["mode"] == "0444"


def test_key_files_are_read_from_beside_the_configuration(evaluate):
    made = evaluate(
        "users.users.deploy = { isNormalUser = true; openssh.authorizedKeys.keyFiles = [ ./keys/a.pub ]; };",
        {"keys/a.pub": KEY + "\n"},
    )
    assert KEY in made.text("ssh/authorized_keys.d/deploy")


def test_the_firewall_is_opened_unless_told_otherwise(evaluate):
    assert 22 in evaluate("services.openssh.enable = true;").get("networking.firewall.allowedTCPPorts")
    closed = evaluate("services.openssh = { enable = true; openFirewall = false; };")
    assert closed.get("networking.firewall.allowedTCPPorts") == []


def test_socket_activation(evaluate):
    made = evaluate("services.openssh = { enable = true; startWhenNeeded = true; };")
    assert "ListenStream=22" in made.unit("sshd.socket") and "Accept=true" in made.unit("sshd.socket")
    assert "StandardInput=socket" in made.unit("sshd@.service")
    assert "systemd/system/sshd.service" not in made.etc


def test_without_the_option_no_server_runs(evaluate):
    made = evaluate("")
    assert "systemd/system/sshd.service" not in made.etc
    assert "openssh-server" not in made.packages


@pytest.mark.skipif(
    shutil.which("sshd") is None and not Path("/usr/sbin/sshd").exists(), reason="sshd is not installed here"
)
def test_sshd_itself_accepts_the_text(evaluate, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    text = evaluate("services.openssh = { enable = true; settings.KexAlgorithms = null; };").text("ssh/sshd_config")
    (tmp_path / "sshd_config").write_text(text.replace("/var/lib/ssh/ssh_host_ed25519_key", str(key)))
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    done = subprocess.run([sshd, "-t", "-f", str(tmp_path / "sshd_config")], capture_output=True, text=True)
    if "rivilege separation" in done.stderr:
        pytest.skip("sshd has neither its user nor its directory here")
    assert done.returncode == 0, done.stderr
