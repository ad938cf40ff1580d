"""Whole systems out of Invar's lib and module files: real Nix, with a module system in Nix, makes the same of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from invar.modules.native import evaluator_with_modules
from invar.nix import Evaluator, force, with_big_stack
from invar.nix.selection import select, shown
from invar.nixos.places import LIBRARY

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
SYSTEM = "config.system.build.invar"

SERVER = """
{ config, lib, pkgs, ... }: {
  imports = [ ({ modulesPath, ... }: { imports = [ "${modulesPath}/virtualisation/amazon-image.nix" ]; }) ];
  options.my = lib.mkOption {
    type = lib.types.attrsOf (lib.types.submodule ({ name, config, ... }: {
      freeformType = (pkgs.formats.json { }).type;
      options.port = lib.mkOption { type = lib.types.coercedTo lib.types.str lib.toInt lib.types.port; };
      options.title = lib.mkOption { type = lib.types.str; default = "${name}:${toString config.port}"; };
    }));
  };
  config = lib.mkMerge [
    { networking.hostName = "a"; my.web = { port = "80"; deep.er = [ 1 { x = null; } ]; }; }
    (lib.mkIf (config.my ? web) { networking.firewall.allowedTCPPorts = [ config.my.web.port ]; })
    (lib.mkIf false { my.never.port = 1; })
    {
      networking.hostName = lib.mkForce "server";
      boot.kernel.sysctl = { "vm.swappiness" = 10; "net.ipv4.ip_forward" = lib.mkDefault 1; };
      boot.kernelParams = lib.mkBefore [ "first=1" ];
      environment.etc."my.json".source = (pkgs.formats.json { }).generate "my.json" config.my;
      environment.variables.EDITOR = "vim";
      environment.systemPackages = lib.mkAfter [ pkgs.htop pkgs.git ];
      users.users.alice = { isNormalUser = true; shell = pkgs.zsh; };
      users.users.alice.openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAA" ];
      users.groups.staff.members = [ "alice" ];
      security.sudo.extraRules = [ { users = [ "alice" ]; commands = [ "ALL" ]; } ];
      services.openssh = { enable = true; settings.PermitRootLogin = "no"; extraConfig = "Banner none"; };
      services.nginx = {
        enable = true;
        recommendedGzipSettings = true;
        virtualHosts."a.example" = {
          default = true;
          locations."/".root = "/srv";
          locations."/api" = { proxyPass = "http://127.0.0.1:8080"; priority = 900; };
        };
      };
      systemd.services.job = {
        wantedBy = [ "multi-user.target" ];
        path = [ pkgs.jq ];
        environment.N = toString 1;
        script = "jq . /etc/my.json";
        serviceConfig = { Type = "oneshot"; Restart = lib.mkDefault "no"; Nice = 5; };
      };
      systemd.timers.job = { wantedBy = [ "timers.target" ]; timerConfig.OnCalendar = "daily"; };
      systemd.tmpfiles.rules = [ "d /srv 0755 root root -" ];
      time.timeZone = "Europe/Berlin";
      i18n.defaultLocale = "en_GB.UTF-8";
    }
  ];
}
"""

DATABASE = """
{ lib, pkgs, ... }: {
  networking = { hostName = "db"; firewall.enable = lib.mkOverride 90 false; nftables.enable = true; };
  services.postgresql = {
    enable = true;
    settings = { shared_buffers = "128MB"; max_connections = 50; log_connections = true; };
    ensureDatabases = [ "app" ];
    ensureUsers = [ { name = "app"; ensureDBOwnership = true; } ];
    authentication = lib.mkForce "local all all peer";
  };
  services.logrotate.settings.app = { files = "/var/log/app.log"; frequency = "weekly"; rotate = 3; };
  services.journald.extraConfig = "SystemMaxUse=50M";
  users.users.root.hashedPassword = "!";
  users.allowNoPasswordLogin = true;
}
"""

PROFILES = """
{ lib, modulesPath, ... }: {
  imports = map (name: "${modulesPath}/${name}.nix") [
    "profiles/hardened" "profiles/headless" "profiles/minimal" "profiles/qemu-guest" "virtualisation/amazon-init"
  ];
  boot = {
    tmp = { useTmpfs = true; cleanOnBoot = true; };
    kernelModules = [ "br_netfilter" ];
    blacklistedKernelModules = [ "pcspkr" ];
    extraModprobeConfig = "options loop max_loop=8";
    supportedFilesystems = [ "xfs" ];
  };
  fileSystems."/data" = { device = "/dev/disk/by-label/data"; fsType = "xfs"; options = [ "noatime" "nofail" ]; };
  networking = {
    hostName = "p";
    domain = "example.org";
    hosts."10.0.0.1" = [ "a.example.org" "a" ];
    nameservers = [ "9.9.9.9" ];
    extraHosts = "10.0.0.2 b";
    firewall = {
      allowedUDPPorts = [ 53 ];
      allowedTCPPortRanges = [ { from = 8000; to = 8010; } ];
      interfaces.eth1.allowedTCPPorts = [ 9100 ];
      logRefusedConnections = true;
    };
  };
  systemd = {
    network.networks."20-more" = { matchConfig.Name = "eth1"; networkConfig.DHCP = "ipv4"; };
    sockets.echo = { wantedBy = [ "sockets.target" ]; listenStreams = [ "7" ]; };
    targets.mine = { description = "Mine"; wants = [ "job.service" ]; };
    paths.watch = { wantedBy = [ "multi-user.target" ]; pathConfig.PathChanged = "/etc/x"; };
    services."job@" = { serviceConfig.ExecStart = "/bin/true %i"; unitConfig.ConditionPathExists = [ "/a" "/b" ]; };
    mounts = [ { what = "tmpfs"; where = "/scratch"; type = "tmpfs"; wantedBy = [ "local-fs.target" ]; } ];
  };
  services = {
    resolved.enable = true;
    timesyncd.enable = true;
    logind.settings.Login.KillUserProcesses = true;
    openssh = { enable = true; ports = [ 22 2222 ]; settings.AllowUsers = [ "alice" ]; };
    nginx = {
      enable = true;
      upstreams.app.servers = { "10.0.0.3:80" = { }; "10.0.0.4:80".backup = true; };
      virtualHosts."b.example".locations."/".proxyPass = "http://app";
      appendHttpConfig = "server_tokens off;";
    };
  };
  programs.bash.shellAliases.ll = "ls -l";
  programs.ssh.knownHosts.h = { hostNames = [ "h" ]; publicKey = "ssh-ed25519 AAAA"; };
  security.sudo.wheelNeedsPassword = false;
  users.mutableUsers = false;
  users.users.bob = { isSystemUser = true; group = "bob"; home = "/var/lib/bob"; };
  users.groups.bob.gid = 900;
  environment.shellInit = "umask 027";
}
"""

CONFIGURATIONS = {
    "example": [str(EXAMPLES / "production-web/configuration.nix")],
    "server": [f"({SERVER})"],
    "database": [f"({DATABASE})"],
    "profiles": [f"({PROFILES})"],
}


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return evaluator_with_modules(on_warn=lambda text: None)


@pytest.mark.skipif(shutil.which("nix-instantiate") is None, reason="real Nix is not installed")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_system_is_the_same_under_real_nix(evaluator: Evaluator, name: str) -> None:
    modules = f"[ {' '.join(CONFIGURATIONS[name])} ]"
    arguments = {"root": str(LIBRARY), "modules": modules}
    assert of_invar(evaluator, arguments) == of_nix({**arguments, "reference": str(HERE / "reference-modules.nix")})


def of_nix(arguments: dict[str, str]) -> Any:
    given = [word for name, text in arguments.items() for word in ("--arg", name, text)]
    done = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", str(HERE / "system.nix"), "-A", SYSTEM, *given],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def of_invar(evaluator: Evaluator, arguments: dict[str, str]) -> Any:
    given = " ".join(f"{name} = {text};" for name, text in arguments.items())

    def text() -> str:
        return shown(
            force(select(evaluator.eval_string(f"import {HERE / 'system.nix'} {{ {given} }}"), SYSTEM, {})),
            "json",
            strict=True,
        )

    return json.loads(with_big_stack(text))


def test_the_configurations_use_every_module_file(evaluator: Evaluator) -> None:
    for modules in CONFIGURATIONS.values():
        of_invar(evaluator, {"root": str(LIBRARY), "modules": f"[ {' '.join(modules)} ]"})
    files = {str(path) for path in (LIBRARY / "modules").rglob("*.nix")}
    assert sorted(files - evaluator.files_read) == []
