"""User data on a booted machine, through the real boot chain: every form, every way to fail, and what a restart keeps.

One machine, whose user data changes; the tests build on one another, in this order.
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from command import invar, succeed
from invar.core.home import Home
from invar.system.proof import DEFAULT_PORT, ProcessProof, Proof
from invar.system.user_data import (
    PublicKey,
    Signature,
    generation_document,
    message_to_sign,
    parameters_document,
    with_signature,
)
from invar.vm.record import find
from machine.booted import CPUS, LONG, SECONDS, Node
from machine.cache_server import CacheServer

pytestmark = [pytest.mark.build, pytest.mark.boot]

SECRET = Ed25519PrivateKey.from_private_bytes(b"\x2a" * 32)
KEY = PublicKey(SECRET.public_key().public_bytes_raw())
HERE = Path(__file__).parent

TRUSTING = f"""# From now on signed user data only.
### https://channels.example.org/none none
{{
  imports = [ ./configuration.nix ];
  invar.parameters.role = "trusting";
  invar.userData.trustedKeys = [ "{KEY}" ];
}}
"""
WRONG_OPTION = b'{ imports = [ ./configuration.nix ]; networking.hostname = "x"; }\n'
FAILS_ITS_CHECK = b"""{
  imports = [ ./configuration.nix ];
  invar.parameters.role = "unhealthy";
  invar.checks.never = { command = [ "false" ]; timeout = 3; };
}
"""
OTHER_PACKAGES = """{ pkgs, ... }:
{
  imports = [ ./configuration.nix ];
  invar.parameters.role = "with jq";
  environment.systemPackages = [ pkgs.jq ];
}
"""
HANGS = """{ lib, pkgs, ... }:
{
  imports = [ ./configuration.nix ];
  environment.systemPackages = [ PACKAGES ];
  invar.boot.hang = SECONDS;
  systemd.services.invar-boot-health.unitConfig.JobTimeoutSec = lib.mkForce "LIMIT";
  systemd.services.hang = {
    wantedBy = [ "sysinit.target" ];
    before = [ "local-fs.target" ];
    unitConfig = {
      DefaultDependencies = false;
      ConditionPathExists = "/run/invar/started";
    };
    serviceConfig = {
      Type = "oneshot";
      ExecStart = "/usr/bin/sleep infinity";
    };
  };
}
"""
HARD = '  fileSystems."/var" = { device = "/dev/x"; options = [ "noexec" "nosuid" "nodev" ]; };\n'
SCRIPT = b"#!/bin/sh\necho hello from the script\necho once >> /var/script-ran\n"


def signed(content: bytes) -> bytes:
    return with_signature(content, Signature(KEY.id, SECRET.sign(message_to_sign(content))))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(HERE / "node", tmp_path_factory.mktemp("user-data") / "node")


@pytest.fixture(scope="module")
def node(home: Home, project: Path) -> Iterator[Node]:
    """Started with parameters, gzipped, as its user data."""
    user_data = project.with_name("user-data")
    user_data.write_bytes(gzip.compress(parameters_document({"role": "web"})))
    yield from running(home, project, user_data, "user-data-test")


@dataclass(frozen=True)
class Cache:
    """A build cache on this computer, as the machine reaches it, with two systems: of the image's packages, and not."""

    server: CacheServer
    directory: Path
    digest: str
    other_packages: str
    other_digest: str

    @property
    def address(self) -> str:
        return f"http://169.255.0.1:{self.server.port}"

    @property
    def asked(self) -> str:
        """The line of a configuration that names it."""
        return f'invar.cache.url = [ "{self.address}" ];'


@pytest.fixture(scope="module")
def cache(home: Home, node: Node, project: Path) -> Iterator[Cache]:
    directory = project.with_name("cache")
    directory.mkdir()
    key = project.with_name("key.pem")
    key.write_bytes(SECRET.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    with CacheServer(directory) as server:
        asked = f'invar.cache.url = [ "http://169.255.0.1:{server.port}" ];'
        trusts = f'invar.userData.trustedKeys = [ "{KEY}" ];'
        same = f'{{ imports = [ ./configuration.nix ]; invar.parameters.role = "published"; {asked} {trusts} }}\n'
        other = OTHER_PACKAGES.replace("}\n", f"  {asked}\n}}\n")
        exported = []
        for name, text in (("same.nix", same), ("other.nix", other)):
            (project / name).write_text(text)
            succeed("lock", project / name, home=home)
            command = ("cache", "export", directory, project / name, "--key", key, "--json")
            exported.append(succeed(*command, home=home).json())
        yield Cache(server, directory, exported[0]["system_digest"], other, exported[1]["system_digest"])


def undeclared(proof: Proof) -> list[ProcessProof]:
    """What the proof names, but for sessions: the tests come by ssh."""
    assert proof.processes is not None
    return [one for one in proof.processes if one.kind != "session"]


def open_layers(node: Node) -> tuple[int, int]:
    """How many verity devices there are, and how many loop devices."""
    found = node.run("ls /sys/block | grep -c ^dm-; ls -d /sys/block/loop*/loop 2>/dev/null | wc -l").out.split()
    return int(found[0]), int(found[1])


def soft_reboots(node: Node) -> int:
    """How many there were in this boot; -1 while one is under way."""
    said = node.run("systemctl show -P SoftRebootsCount", 60).out.strip()
    return int(said) if said.isdigit() else -1


def running(home: Home, project: Path, user_data: Path, name: str) -> Iterator[Node]:
    hardware = ("--cpus", str(CPUS), "--port", "80", "--port", str(DEFAULT_PORT))
    started = succeed(
        "run", project, "--detach", "--name", name, "--user-data", user_data, *hardware, "--json", home=home
    ).json()
    made = Node(started["name"], home)
    try:
        made.await_user_data()
        yield made
    finally:
        made.hang_up()
        invar("stop", "--force", made.name, home=home)


def test_gzipped_parameters_are_applied_at_the_first_boot(node: Node) -> None:
    assert node.page() == "role web", node.console()[-3000:]
    proof = node.proof()
    assert (proof.booted_generation, proof.active_generation) == (1, 2)
    assert {layer.state for layer in proof.layers} == {"verified"}
    assert [(check.name, check.state) for check in proof.checks] == [("page", "passed")]
    assert proof.refused is None and proof.failed_units == ()
    assert undeclared(proof) == [] and proof.files == ()
    assert f"invar: the user data is applied: generation 2, {proof.active_digest}" in node.console()
    shown = Proof.from_json(succeed("proof", node.name, "--console", "--json", home=node.home).out, where="console")
    assert (shown.active_digest, shown.boot_id) == (proof.active_digest, proof.boot_id)
    assert proof.instance_id == node.run("cat /run/ec2-metadata/instance-id").out.strip()


def test_names_keys_and_digest_are_on_the_console(node: Node) -> None:
    assert node.run("hostname").out.strip().startswith("ip-")
    node.await_console(f"invar: system {node.proof().booted_digest}, host key 256 SHA256:")


def test_what_does_not_evaluate_is_refused_and_nothing_changes(node: Node) -> None:
    before = node.proof()
    done = node.apply(WRONG_OPTION)
    assert done.code == 1 and "networking.hostname" in done.out and "networking.hostName" in done.out
    proof = node.proof()
    assert node.page() == "role web"
    assert proof.active_digest == before.active_digest
    assert proof.refused is not None and "networking.hostname" in proof.refused
    assert proof.failed_units == ("amazon-init.service",)
    assert "invar: user data refused: The option `networking.hostname' does not exist" in node.console()


def test_what_fails_its_checks_is_taken_back(node: Node) -> None:
    done = node.apply(FAILS_ITS_CHECK)
    assert done.code == 1 and "never" in done.out
    assert node.page() == "role web"
    refused = node.proof().refused
    assert refused is not None and "fails its checks" in refused and "never" in refused


def test_a_script_runs_once(node: Node) -> None:
    assert "hello from the script" in node.apply(SCRIPT).out
    assert "dealt with before" in node.apply(SCRIPT).out
    assert node.run("cat /var/script-ran").out.split() == ["once"]
    assert node.proof().refused is None


def test_a_script_that_fails_says_so_and_is_not_run_again(node: Node) -> None:
    failing = SCRIPT + b"exit 7\n"
    assert node.apply(failing).code == 1
    assert "failed with status 7" in (node.proof().refused or "")
    assert "dealt with before" in node.apply(failing).out
    assert node.run("cat /var/script-ran").out.split() == ["once"] * 2


def test_a_configuration_imports_the_images_own_and_may_demand_signatures(node: Node) -> None:
    done = node.apply(lzma.compress(TRUSTING.encode()))
    assert done.code == 0 and "channels have no effect" in done.out
    assert node.page() == "role trusting"


@pytest.mark.parametrize(
    ("user_data", "why"),
    [
        (parameters_document({"role": "unsigned"}), "not signed"),
        (SCRIPT, "not signed"),
        (signed(parameters_document({"role": "web"})).replace(b"web", b"bad"), "was altered"),
        (b"\x1f\x8b broken", "cannot be unpacked"),
    ],
)
def test_what_is_not_signed_by_a_trusted_key_is_refused(node: Node, user_data: bytes, why: str) -> None:
    before = node.proof()
    done = node.apply(user_data)
    assert done.code == 1 and why in done.out
    proof = node.proof()
    assert proof.active_digest == before.active_digest and why in (proof.refused or "")
    assert node.run("cat /var/script-ran").out.split() == ["once"] * 2


def test_signed_parameters_compressed_with_zstd(node: Node) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("no zstd on this computer to compress with")
    data = signed(parameters_document({"role": "signed"}))
    packed = subprocess.run(["zstd", "--stdout", "--quiet"], input=data, capture_output=True, check=True).stdout
    assert node.apply(packed).code == 0
    assert node.page() == "role signed"


def test_a_pointer_leads_to_a_generation_by_its_digest(node: Node) -> None:
    booted = node.proof().booted_digest
    assert node.apply(generation_document(booted)).code == 0
    assert node.page() == "role baked" and node.proof().active_digest == booted


def test_a_generation_that_is_nowhere_is_refused(node: Node) -> None:
    before = node.proof()
    assert node.apply(generation_document("ab" * 32, "http://127.0.0.1:1/")).code == 1
    proof = node.proof()
    assert proof.active_digest == before.active_digest and proof.refused is not None


def test_proof_over_http_repeats_the_nonce(node: Node) -> None:
    proof = node.proof("--http", str(DEFAULT_PORT), "--nonce", "7f3a")
    assert proof.nonce == "7f3a" and proof.active_digest == node.proof().active_digest
    assert invar("proof", node.name, "--expect", "0" * 64, home=node.home).code == 3
    assert invar("proof", node.name, "--expect", proof.active_digest, home=node.home).code == 0


def test_a_restart_keeps_what_somebody_switched_to_since(node: Node) -> None:
    node.apply(parameters_document({"role": "last"}))
    assert node.page() == "role last"
    rolled = node.run("invar rollback --json")
    assert rolled.code == 0, rolled.out + rolled.err
    before = node.proof()
    assert node.page() != "role last"
    node.reboot()
    proof = node.proof()
    assert (proof.active_digest, proof.active_generation) == (before.active_digest, before.active_generation)
    assert proof.booted_digest == before.active_digest
    assert "dealt with before" in node.run("journalctl --no-pager -b -o cat -u amazon-init").out


def test_what_a_cache_has_altered_is_refused(node: Node, cache: Cache) -> None:
    before = node.proof()
    generation = json.loads((cache.directory / f"systems/{cache.digest}.json").read_bytes())
    root_hash = re.findall(r"invar\.config=([0-9a-f]{64})", generation["cmdline"])[0]
    layer = cache.directory / "layers" / root_hash
    whole = layer.read_bytes()
    layer.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    done = node.apply(generation_document(cache.digest, cache.address))
    layer.write_bytes(whole)
    assert done.code == 1 and "does not match the verity root hash" in done.out
    proof = node.proof()
    assert proof.active_digest == before.active_digest and "is damaged" in (proof.refused or "")


def test_a_pointer_leads_to_what_a_cache_has(node: Node, cache: Cache) -> None:
    cache.server.behaviour.asked.clear()
    done = node.apply(generation_document(cache.digest, cache.address))
    assert done.code == 0, done.out
    proof = node.proof()
    assert node.page() == "role published"
    assert (proof.active_digest, proof.refused) == (cache.digest, None)
    asked = [one.path.split("/")[1] for one in cache.server.behaviour.asked]
    assert asked == ["systems", "layers"]


def test_a_configuration_of_other_packages_is_fetched_and_started_by_a_soft_reboot(node: Node, cache: Cache) -> None:
    """Without a restart of the kernel: what the cache has of this configuration was built elsewhere."""
    assert node.run("jq --version").code != 0
    before = node.proof()
    node.apply(signed(cache.other_packages.encode()))
    # What was cut off by the soft-reboot counts as failed until it is started again.
    node.await_user_data(
        lambda _: re.search(f"is applied: generation [0-9]+, {cache.other_digest}", node.console()) is not None
    )
    assert node.run("systemctl show -P SoftRebootsCount").out.strip() == "1"
    proof = node.proof()
    assert node.page() == "role with jq" and node.run("jq --version").code == 0
    assert (proof.active_digest, proof.refused, proof.failed_units) == (cache.other_digest, None, ())
    assert undeclared(proof) == []
    assert (proof.booted_digest, proof.boot_id) == (before.booted_digest, before.boot_id)
    assert {layer.state for layer in proof.layers} == {"verified"}
    assert {check.state for check in proof.checks} == {"passed"}
    changed = {layer.root_hash for layer in proof.layers} - {layer.root_hash for layer in before.layers}
    assert len(changed) == 2
    assert node.run("systemctl is-active invar-deadline").out.strip() == "inactive"


def test_soft_reboots_leave_nothing_behind(node: Node, cache: Cache) -> None:
    """Of what the initrd mounted neither: as many layers are open as are in use."""
    assert open_layers(node) == (2, 2), node.run("cat /sys/block/dm-*/dm/name; losetup; findmnt").out
    active = node.proof()
    mounts = node.run("grep -c . /proc/self/mountinfo").out
    for count, arguments in ((2, "rollback 1"), (3, f"switch --generation {cache.other_digest}")):
        node.run(f"invar {arguments}")
        node.await_user_data(lambda _, count=count: soft_reboots(node) == count)
        assert sorted(open_layers(node))[-1] == 2, node.run("cat /sys/block/dm-*/dm/name; losetup; findmnt").out
    assert node.proof().active_digest == active.active_digest
    assert node.run("grep -c . /proc/self/mountinfo").out == mounts


def test_the_next_boot_takes_it_too(node: Node, cache: Cache) -> None:
    node.reboot()
    proof = node.proof()
    assert (proof.booted_digest, proof.active_digest, proof.refused) == (cache.other_digest, cache.other_digest, None)
    assert node.run("jq --version").code == 0
    assert undeclared(proof) == []


@pytest.mark.skipif(not LONG, reason="INVAR_TEST_LONG=1 boots twice more")
def test_a_published_system_that_fails_its_checks_is_left_by_itself(
    home: Home, node: Node, project: Path, cache: Cache
) -> None:
    (project / "unhealthy.nix").write_text(FAILS_ITS_CHECK.decode())
    succeed("lock", project / "unhealthy.nix", home=home)
    exported = succeed("cache", "export", cache.directory, project / "unhealthy.nix", "--json", home=home).json()
    planned = node.run(f"invar dry-run --generation {exported['system_digest']} --json")
    assert planned.json()["way"] == "soft-reboot"
    before = node.proof()
    node.apply(generation_document(exported["system_digest"]))
    node.await_user_data(lambda said: said.splitlines()[0] != before.boot_id)
    proof = node.proof()
    assert (proof.active_digest, proof.booted_digest) == (before.active_digest, before.active_digest)
    assert "did not come up" in (proof.refused or "")
    assert "failed its checks" in node.console() and "going back to the last good generation" in node.console()


@pytest.mark.skipif(not LONG, reason="INVAR_TEST_LONG=1 boots once more")
@pytest.mark.parametrize(
    ("packages", "hang", "limit", "said"),
    [
        ("", 150, "infinity", "no checks began within 150 seconds of a soft-reboot"),
        ("pkgs.jq", 3000, "150", "job timed out"),
    ],
)
def test_a_soft_reboot_that_hangs_is_reset(
    home: Home, node: Node, project: Path, cache: Cache, packages: str, hang: int, limit: str, said: str
) -> None:
    """By the process that outlives it, or before that by the limit on the verdict of every boot."""
    text = HANGS.replace("PACKAGES", packages).replace("SECONDS", str(hang)).replace("LIMIT", limit)
    (project / "hangs.nix").write_text(text)
    succeed("lock", project / "hangs.nix", home=home)
    exported = succeed("cache", "export", cache.directory, project / "hangs.nix", "--json", home=home).json()
    before = node.proof()
    node.apply(generation_document(exported["system_digest"], cache.address))
    node.await_user_data(lambda text: text.splitlines()[0] != before.boot_id)
    assert said in node.console()
    proof = node.proof()
    assert (proof.booted_digest, proof.refused) == (exported["system_digest"], None)


@pytest.mark.skipif(not LONG, reason="INVAR_TEST_LONG=1 boots once more")
def test_another_initrd_is_fetched_and_started_by_a_reboot(home: Home, node: Node, project: Path, cache: Cache) -> None:
    text = OTHER_PACKAGES.replace("with jq", "rebooted").replace(
        "}\n", f'  boot.initrd.availableKernelModules = [ "dm_crypt" ];\n  {cache.asked}\n}}\n'
    )
    (project / "initrd.nix").write_text(text)
    exported = succeed("cache", "export", cache.directory, project / "initrd.nix", "--json", home=home).json()
    digest = exported["system_digest"]
    planned = node.run(f"invar dry-run --generation {digest} --cache {cache.address} --json")
    assert (planned.json()["way"], planned.json()["digest"]) == ("reboot", digest)
    before = node.proof()
    node.apply(generation_document(digest, cache.address))
    node.await_user_data(lambda said: said.splitlines()[0] != before.boot_id)
    proof = node.proof()
    assert (proof.booted_digest, proof.active_digest, proof.refused) == (digest, digest, None)
    assert node.page() == "role rebooted"
    assert "0 files" in node.run("echo $(ls /var/lib/invar/downloads | wc -l) files").out


def test_host_keys_of_user_data_become_the_machines(node: Node, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    private = (tmp_path / "key").read_text().replace("\n", "|")
    public = (tmp_path / "key.pub").read_text().strip()
    content = f"SSH_HOST_ED25519_KEY:{private}\nSSH_HOST_ED25519_KEY_PUB:{public}\n".encode()
    node.apply(content)
    await_host_key(find(node.home, node.name).port(22), public.split()[1])


def await_host_key(port: int, key: str) -> None:
    """Wait until sshd shows this key: it starts anew, and answers no one for a while who asks too often."""
    deadline = time.monotonic() + SECONDS
    command = ["ssh-keyscan", "-T", "60", "-t", "ed25519", "-p", str(port), "127.0.0.1"]
    while key not in (done := subprocess.run(command, capture_output=True, text=True, check=False)).stdout:
        assert time.monotonic() < deadline, done
        time.sleep(20)


@pytest.mark.skipif(not LONG, reason="INVAR_TEST_LONG=1 boots another machine")
def test_an_image_that_trusts_a_key_boots_and_stays_as_it_is_with_unsigned_user_data(
    home: Home, tmp_path: Path
) -> None:
    project = shutil.copytree(HERE / "node", tmp_path / "node")
    text = (project / "configuration.nix").read_text()
    (project / "configuration.nix").write_text(
        text.replace(
            "  virtualisation", f'  invar.userData.trustedKeys = [ "{KEY}" ];\n{HARD}  virtualisation'
        ).replace("    ./page.nix", '    ./page.nix\n    "${modulesPath}/profiles/hardened.nix"')
    )
    (tmp_path / "user-data").write_bytes(parameters_document({"role": "unsigned"}))
    for other in running(home, project, tmp_path / "user-data", "user-data-trust"):
        proof = other.proof()
        assert other.page() == "role baked"
        assert (proof.active_generation, proof.active_digest) == (1, proof.booted_digest)
        assert "not signed" in (proof.refused or "")
        assert "invar: user data refused: the user data is not signed" in other.console()
        assert "[integrity]" in other.run("cat /sys/kernel/security/lockdown").out
        assert other.run("sysctl -n kernel.kptr_restrict kernel.unprivileged_bpf_disabled").out.split() == ["2", "1"]
        assert other.run("cp /usr/bin/true /var/true && /var/true").code != 0


@pytest.mark.skipif(not LONG, reason="INVAR_TEST_LONG=1 boots another machine")
def test_without_invar_on_it_the_image_boots_and_takes_over_metadata(home: Home, tmp_path: Path) -> None:
    project = shutil.copytree(HERE / "node", tmp_path / "node")
    text = (project / "configuration.nix").read_text().replace("  invar.proof.http.enable = true;\n", "")
    (project / "configuration.nix").write_text(
        text.replace("  virtualisation", "  virtualisation.amazon-init.enable = false;\n  virtualisation")
    )
    started = succeed(
        "run", project, "--detach", "--name", "user-data-plain", "--port", "80", "--json", home=home
    ).json()
    try:
        checked = invar("check", started["name"], "--json", home=home)
        assert checked.code == 0, checked.out + checked.err
        plain = Node(started["name"], home)
        assert plain.page() == "role baked"
        assert plain.run("test -e /usr/bin/invar; echo $?").out.strip() == "1"
        assert plain.run("hostname").out.strip().startswith("ip-")
        plain.hang_up()
    finally:
        invar("stop", "--force", started["name"], home=home)
