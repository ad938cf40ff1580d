"""networking.firewall: the nftables rules."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def test_only_what_is_allowed_comes_in(evaluate):
    text = evaluate(
        """networking.firewall = {
          allowedTCPPorts = [ 80 22 22 ]; allowedUDPPorts = [ 53 ];
          allowedTCPPortRanges = [ { from = 8000; to = 8010; } ];
          interfaces.ens5.allowedTCPPorts = [ 9100 ];
          trustedInterfaces = [ "wg0" ];
          extraInputRules = "ip saddr 10.0.0.0/8 accept";
        };"""
    ).text("nftables.conf")
    assert "type filter hook input priority filter; policy drop;" in text
    assert "tcp dport { 22, 80, 8000-8010 } accept" in text
    assert "udp dport { 53 } accept" in text
    assert 'iifname "ens5" tcp dport { 9100 } accept' in text
    assert 'iifname { "lo", "wg0" } accept' in text
    assert "icmp type echo-request accept" in text
    assert "    ip saddr 10.0.0.0/8 accept\n" in text
    assert text.count("{") == text.count("}")


def test_rules_replace_themselves_when_loaded_again(evaluate):
    text = evaluate("").text("nftables.conf")
    assert text.index("delete table inet nixos-fw") < text.index("table inet nixos-fw {")


def test_rules_are_loaded_before_the_network_is_up(evaluate):
    made = evaluate("")
    unit = made.unit("nftables.service")
    assert "Before=network-pre.target shutdown.target" in unit
    assert "DefaultDependencies=false" in unit
    assert made.link("systemd/system/sysinit.target.wants/nftables.service") == "/etc/systemd/system/nftables.service"


def test_no_firewall_no_rules(evaluate):
    made = evaluate("networking.firewall.enable = false;")
    assert "nftables.conf" not in made.etc and "nftables" not in made.packages


def test_ping_reverse_path_and_refusals_can_be_chosen(evaluate):
    text = evaluate(
        """networking.firewall = {
          allowPing = false; checkReversePath = "strict"; rejectPackets = true; logRefusedConnections = false;
        };"""
    ).text("nftables.conf")
    assert "echo-request" not in text
    assert "fib saddr . mark . iif oif exists accept" in text
    assert "reject with tcp reset" in text
    assert "refused connection" not in text


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed here")
def test_nft_itself_accepts_the_text(evaluate, tmp_path):
    (tmp_path / "rules").write_text(evaluate("networking.firewall.allowedTCPPorts = [ 80 ];").text("nftables.conf"))
    done = subprocess.run(["nft", "--check", "--file", str(tmp_path / "rules")], capture_output=True, text=True)
    if "Operation not permitted" in done.stderr:
        pytest.skip("nft may not talk to the kernel here")
    assert done.returncode == 0, done.stderr
