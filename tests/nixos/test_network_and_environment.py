"""networking.*, environment.*, i18n, time, boot: the smaller files of /etc."""

from __future__ import annotations

import pytest

from invar.core.errors import InvarError


def test_host_name_and_hosts(evaluate):
    made = evaluate(
        """networking = {
          hostName = "web"; domain = "example.org"; hosts."192.0.2.7" = [ "db" ]; extraHosts = "192.0.2.8 cache";
        };"""
    )
    assert made.text("hostname") == "web\n"
    hosts = made.text("hosts").splitlines()
    assert {
        "127.0.0.1 localhost",
        "127.0.0.2 web.example.org web",
        "::1 localhost",
        "192.0.2.7 db",
        "192.0.2.8 cache",
    } <= set(hosts)
    assert made.get("networking.fqdn") == "web.example.org"
    assert made.system["host_name"] == "web" and made.system["name"] == "web"


def test_an_impossible_host_name_is_refused(evaluate):
    from invar.nix import NixError

    with pytest.raises((NixError, InvarError)) as failure:
        evaluate('networking.hostName = "a b";').system  # noqa: B018
    assert "networking.hostName" in str(failure.value)


def test_every_wired_interface_asks_by_dhcp(evaluate):
    text = evaluate("").text("systemd/network/99-ethernet-default-dhcp.network")
    assert text.startswith("[Match]\nKind=!*\nType=ether\n")
    assert "[Network]\nDHCP=yes\n" in text


def test_an_interface_with_addresses_of_its_own(evaluate):
    text = evaluate(
        """networking.interfaces.ens6.ipv4.addresses = [ { address = "10.0.0.2"; prefixLength = 24; } ];
        networking.defaultGateway = "10.0.0.1";"""
    ).text("systemd/network/40-ens6.network")
    assert "Name=ens6" in text and "Address=10.0.0.2/24" in text and "[Route]\nGateway=10.0.0.1" in text
    assert "DHCP" not in text


def test_networkd_takes_networks_as_they_are(evaluate):
    text = evaluate(
        """systemd.network.networks."10-lan" = {
          matchConfig.Name = "ens*"; networkConfig.DHCP = "ipv4"; dns = [ "192.0.2.53" ];
          routes = [ { Destination = "10.0.0.0/8"; Gateway = "192.0.2.1"; } ];
        };"""
    ).text("systemd/network/10-lan.network")
    assert "[Match]\nName=ens*\n" in text and "DNS=192.0.2.53\n" in text
    assert "[Route]\nDestination=10.0.0.0/8\nGateway=192.0.2.1\n" in text


def test_nothing_waits_for_the_network_at_boot(evaluate):
    made = evaluate("services.nginx.enable = true; services.openssh.enable = true; services.postgresql.enable = true;")
    wants = [target for target in made.etc if target.endswith("systemd-networkd-wait-online.service")]
    assert wants == ["systemd/system/network-online.target.wants/systemd-networkd-wait-online.service"]
    for target, entry in made.etc.items():
        if target.startswith("systemd/system/") and entry["text"]:
            assert "network-online.target" not in entry["text"], target


def test_names_are_looked_up_by_resolved_or_by_a_plain_file(evaluate):
    made = evaluate('networking.nameservers = [ "192.0.2.53" ];')
    assert made.link("resolv.conf") == "/run/systemd/resolve/stub-resolv.conf"
    assert "DNS=192.0.2.53\n" in made.text("systemd/resolved.conf")
    made = evaluate(
        'services.resolved.enable = false; networking.nameservers = [ "192.0.2.53" ]; networking.search = [ "lan" ];'
    )
    assert made.text("resolv.conf") == "search lan\nnameserver 192.0.2.53\n"
    assert "systemd-resolved" not in made.packages


def test_variables_aliases_and_locale(evaluate):
    made = evaluate(
        """environment.variables.EDITOR = "vim"; environment.sessionVariables.APP = "/srv/app";
        environment.shellAliases.gs = "git status"; time.timeZone = "Europe/Berlin";"""
    )
    assert 'export EDITOR="vim"\n' in made.text("set-environment")
    assert 'APP="/srv/app"\n' in made.text("environment") and 'export APP="/srv/app"' in made.text("set-environment")
    assert "alias -- gs='git status'\n" in made.text("bash.bashrc")
    assert made.link("localtime") == "/usr/share/zoneinfo/Europe/Berlin"
    assert made.text("locale.conf") == "LANG=C.UTF-8\n" and "locales-all" not in made.packages


def test_another_locale_brings_the_locales(evaluate):
    made = evaluate('i18n.defaultLocale = "de_DE.UTF-8"; i18n.extraLocaleSettings.LC_TIME = "C.UTF-8";')
    assert made.text("locale.conf") == "LANG=de_DE.UTF-8\nLC_TIME=C.UTF-8\n"
    assert "locales-all" in made.packages


def test_etc_files_links_modes_and_owners(evaluate):
    made = evaluate(
        """environment.etc."app/a.conf".text = "x";
        environment.etc.b = { text = "y"; mode = "0600"; user = "app"; gid = 7; };
        environment.etc.c.source = ./c.txt;
        environment.etc.d = { text = "z"; enable = false; };
        environment.etc.e = { target = "f/g"; source = "/usr/share/e"; };""",
        {"c.txt": "from a file\n"},
    )
    assert made.etc["app/a.conf"] == {
        "target": "app/a.conf",
        "text": "x",
        "source": None,
        "mode": "0444",
        "user": "root",
        "group": "root",
    }
    assert (made.etc["b"]["mode"], made.etc["b"]["user"], made.etc["b"]["group"]) == ("0600", "app", "7")
    assert made.script(made.link("c")) == "from a file\n"
    assert "d" not in made.etc
    assert made.link("f/g") == "/usr/share/e"


def test_sysctl_modules_and_kernel_parameters(evaluate):
    made = evaluate(
        """boot.kernel.sysctl = { "vm.swappiness" = 10; "net.ipv4.ip_forward" = true; "kernel.printk" = null; };
        boot.kernelModules = [ "br_netfilter" ]; boot.blacklistedKernelModules = [ "floppy" ];
        boot.kernelParams = [ "quiet" ];
        boot.extraModprobeConfig = "options loop max_loop=8";"""
    )
    sysctl = made.text("sysctl.d/60-nixos.conf")
    assert "vm.swappiness=10\n" in sysctl and "net.ipv4.ip_forward=1\n" in sysctl and "kernel.printk" not in sysctl
    assert made.text("modules-load.d/nixos.conf") == "br_netfilter\n"
    assert "blacklist floppy\n" in made.text("modprobe.d/nixos.conf") and "options loop max_loop=8" in made.text(
        "modprobe.d/nixos.conf"
    )
    assert "quiet" in made.system["kernel_params"] and "loglevel=4" in made.system["kernel_params"]
    assert made.system["kernel_package"] == "linux-image-amd64"


def test_data_volumes_are_mounted_and_the_image_s_own_are_not_ours(evaluate):
    made = evaluate(
        """fileSystems."/" = { device = "/dev/disk/by-label/nixos"; fsType = "ext4"; autoResize = true; };
        fileSystems."/srv/data" = { device = "/dev/nvme1n1"; fsType = "xfs"; autoFormat = true; };
        fileSystems."/srv/data".options = [ "noatime" ];"""
    )
    assert made.text("fstab") == "/dev/nvme1n1 /srv/data xfs noatime,x-systemd.makefs 0 2\n"
    assert "systemd/system-generators/systemd-fstab-generator" not in made.etc


def test_a_mount_point_on_the_read_only_root_is_refused(evaluate):
    with pytest.raises(InvarError) as failure:
        evaluate('fileSystems."/data".device = "/dev/sdb";')
    assert "the root is read-only" in str(failure.value)


def test_arm64(evaluate):
    made = evaluate('nixpkgs.hostPlatform = "aarch64-linux"; environment.etc.p.text = pkgs.stdenv.hostPlatform.system;')
    assert made.system["architecture"] == "arm64" and made.system["kernel_package"] == "linux-image-arm64"
    assert made.text("p") == "aarch64-linux"


def test_options_without_meaning_are_accepted_with_one_warning(evaluate):
    made = evaluate(
        """users.allowNoPasswordLogin = true;
        boot.loader.grub = { enable = true; device = "/dev/sda"; };
        nix.settings.experimental-features = [ "flakes" ];
        swapDevices = [ { device = "/dev/sdb"; } ];"""
    )
    (warning,) = made.warnings
    assert "boot.loader.grub" in warning and "nix.settings" in warning and "swapDevices" in warning
