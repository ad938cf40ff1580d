"""examples/production-web, the EC2 modules and checks."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from invar.core.errors import InvarError

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "production-web"
AMAZON = 'imports = [ "${modulesPath}/virtualisation/amazon-image.nix" ];'

ISSUED = """{ pkgs, modulesPath, ... }: {
  imports = [ "${modulesPath}/virtualisation/amazon-image.nix" ./web.nix ];
  # System Configuration
  networking.hostName = "production-web-01";
  services.openssh.enable = true;
  # Application Stack
  environment.systemPackages = with pkgs; [ nginx postgresql awscli2 ];
  # Security Hardening
  security.sudo.wheelNeedsPassword = false;
  users.users.deploy = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
    openssh.authorizedKeys.keys = [ "KEY" ];
  };
}
"""


@pytest.fixture(scope="module")
def example(evaluate_at):
    return evaluate_at(EXAMPLE)


def test_the_text_is_the_promised_one():
    text = (EXAMPLE / "configuration.nix").read_text()
    assert re.sub(r'"ssh-ed25519 [A-Za-z0-9+/=]{68}"', '"KEY"', text) == ISSUED


def test_the_example_evaluates_without_a_warning(example):
    assert example.warnings == []


def test_its_packages_are_debian_s(example):
    assert {
        "nginx",
        "postgresql-17",
        "postgresql-client-17",
        "awscli",
        "openssh-server",
        "sudo",
        "nftables",
        "python3",
        "zstd",
    } <= example.packages
    assert example.system["kernel_package"] == "linux-image-cloud-amd64"
    assert all(package["origin"] for package in example.system["packages"])


def test_its_identity(example):
    system = example.system
    assert (system["name"], system["host_name"], system["architecture"]) == (
        "production-web-01",
        "production-web-01",
        "amd64",
    )
    assert system["disk"] == {"size_mib": None, "base_name": "invar-production-web-01-amd64"}
    assert system["state_version"] == "25.11"


def test_its_kernel_speaks_on_the_serial_console(example):
    params = example.system["kernel_params"]
    assert {"console=ttyS0,115200n8", "random.trust_cpu=on", "nvme_core.io_timeout=4294967295", "panic=1"} <= set(
        params
    )
    assert {"nvme", "ena", "xen-blkfront"} <= set(example.system["initrd_modules"])


def test_ports_22_and_80_are_open_and_no_other(example):
    assert example.get("networking.firewall.allowedTCPPorts") == [22, 80]
    assert "tcp dport { 22, 80 } accept" in example.text("nftables.conf")


def test_root_logs_in_by_key_only(example):
    lines = example.text("ssh/sshd_config").splitlines()
    assert "PermitRootLogin prohibit-password" in lines and "PasswordAuthentication no" in lines


def test_deploy_becomes_root_without_a_password(example):
    assert "%wheel\tALL=(ALL:ALL)\tSETENV:NOPASSWD:ALL" in example.text("sudoers")
    deploy = next(user for user in example.system["users"] if user["name"] == "deploy")
    assert deploy["extra_groups"] == ["wheel"] and deploy["home"] == "/home/deploy"
    assert example.text("ssh/authorized_keys.d/deploy").startswith("ssh-ed25519 AAAA")


def test_its_checks(example):
    checks = {check["name"]: check for check in example.system["checks"]}
    assert checks["nginx"]["unit"] == "nginx.service" and checks["postgresql"]["unit"] == "postgresql.service"
    assert checks["ssh"]["kind"] == "tcp" and checks["ssh"]["port"] == 22
    web = checks["web"]
    assert (web["kind"], web["port"], web["path"], web["status"]) == ("http", 80, "/", 200)
    assert checks["database"]["command"] == ["psql", "-c", "select 1"] and checks["database"]["user"] == "postgres"


def test_the_page_that_the_check_wants_is_served(example):
    (root,) = re.findall(r"root (/nix/store/[^;]+);", example.text("nginx/nginx.conf"))
    page = example.configuration.objects.get(root).entries["index.html"]["text"]
    body = next(check["body"] for check in example.system["checks"] if check["name"] == "web")
    assert body and body in page


def test_every_store_path_that_etc_mentions_is_made(example):
    mentioned = set()
    for entry in example.system["etc"]:
        mentioned |= set(re.findall(r"/nix/store/[^\s/;:\"']+", f"{entry['text']} {entry['source']}"))
    assert mentioned
    made = {one.path for one in example.configuration.objects.closure(mentioned)}
    assert mentioned <= made


def test_two_evaluations_are_equal(example, evaluate_at):
    assert evaluate_at(EXAMPLE).system == example.system


def test_only_declared_units_are_wanted(example):
    wanted = {target.rsplit("/", 1)[1] for target in example.etc if re.search(r"\.(wants|requires)/", target)}
    assert wanted == {
        "amazon-init.service",
        "fetch-ec2-metadata.service",
        "invar-boot-health.service",
        "invar-proof-console.timer",
        "invar-layers.service",
        "growpart.service",
        "logrotate.timer",
        "nftables.service",
        "nginx.service",
        "postgresql.target",
        "print-host-key.service",
        "serial-getty@ttyS0.service",
        "sshd.service",
        "systemd-networkd-wait-online.service",
        "systemd-networkd.service",
        "systemd-networkd.socket",
        "systemd-resolved.service",
        "systemd-timesyncd.service",
        "tmp.mount",
    }


# --- EC2 --------------------------------------------------------------------------------------------------------------


def program(made, unit):
    (line,) = [line for line in made.unit(unit).splitlines() if line.startswith("ExecStart=")]
    return made.script(line.removeprefix("ExecStart=").strip())


WITHOUT = AMAZON + "virtualisation.amazon-init.enable = false;"


def test_the_metadata_service_is_asked_beside_the_boot(evaluate):
    made = evaluate(WITHOUT)
    unit = made.unit("fetch-ec2-metadata.service")
    assert "DefaultDependencies=false" in unit, "multi-user.target must not wait for it"
    assert "network-online" not in unit
    script = program(made, "fetch-ec2-metadata.service")
    assert "X-aws-ec2-metadata-token-ttl-seconds" in script and "169.254.169.254" in script
    assert "/proc/sys/kernel/hostname" in script
    assert "curl" in made.packages


def test_with_invar_on_the_instance_it_asks_and_applies_user_data(evaluate):
    made = evaluate(AMAZON)
    assert "ExecStart=/usr/bin/invar init metadata" in made.unit("fetch-ec2-metadata.service")
    unit = made.unit("amazon-init.service")
    assert "ExecStart=/usr/bin/invar init user-data" in unit
    assert "X-RestartIfChanged=false" in unit and "X-StopOnRemoval=false" in unit
    assert json.loads(made.text("invar/instance.json")) == {
        "takes_host_name": True,
        "trusted_keys": [],
        "secrets": {},
        "ssm_endpoint": None,
        "secretsmanager_endpoint": None,
    }
    assert "curl" not in made.packages
    assert "systemd/system/amazon-init.service" not in evaluate(WITHOUT).etc


def test_a_host_name_of_one_s_own_is_kept(evaluate):
    made = evaluate(AMAZON + 'networking.hostName = "mine";')
    assert json.loads(made.text("invar/instance.json"))["takes_host_name"] is False
    script = program(evaluate(WITHOUT + 'networking.hostName = "mine";'), "fetch-ec2-metadata.service")
    assert "/proc/sys/kernel/hostname" not in script


@pytest.mark.parametrize("unit", ["fetch-ec2-metadata.service", "print-host-key.service", "growpart.service"])
def test_scripts_are_shell(evaluate, unit, tmp_path):
    (tmp_path / "script").write_text(program(evaluate(WITHOUT), unit))
    done = subprocess.run(["sh", "-n", str(tmp_path / "script")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_console_has_a_login_and_no_screen_has_one(evaluate):
    made = evaluate(AMAZON)
    assert "systemd/system/getty.target.wants/serial-getty@ttyS0.service" in made.etc
    assert made.link("systemd/system/getty@tty1.service") == "/dev/null"
    assert made.link("systemd/system/emergency.service") == "/dev/null"


def test_sizes_and_names_of_images(evaluate):
    made = evaluate(AMAZON + 'virtualisation.diskSize = 4096; image.baseName = "web";')
    assert made.system["disk"] == {"size_mib": 4096, "base_name": "web"}
    made = evaluate(AMAZON + "amazonImage.sizeMB = 8192;")
    assert made.system["disk"]["size_mib"] == 8192 and any("virtualisation.diskSize" in one for one in made.warnings)


def test_profiles_can_be_imported(evaluate):
    made = evaluate(
        'imports = map (name: "${modulesPath}/profiles/${name}.nix") [ "minimal" "hardened" "headless" "qemu-guest" ];'
    )
    assert "/usr/share/man/*" in made.system["path_excludes"]
    assert "net.ipv4.conf.all.accept_redirects=0" in made.text("sysctl.d/60-nixos.conf")
    assert "virtio_scsi" in made.system["initrd_modules"]


def test_a_check_is_of_one_kind(evaluate):
    with pytest.raises(InvarError) as failure:
        evaluate('invar.checks.both = { tcp = 22; unit = "sshd"; };')
    assert "invar.checks.both: set exactly one of" in str(failure.value)


def test_a_command_of_text_is_given_to_a_shell(evaluate):
    (check,) = evaluate('invar.checks.a.command = "test -e /a && echo";').system["checks"]
    assert check["command"] == ["/bin/sh", "-c", "test -e /a && echo"] and check["user"] == "root"
