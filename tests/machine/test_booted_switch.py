"""Switches and boots on a booted machine, through real UEFI, boot loader and verity: live, back, cut off, failing.

One machine; the tests build on one another, in this order. INVAR_TEST_LONG=1 has 100 switches for 6, 30 power cuts for
2 (INVAR_TEST_SWITCHES=N, INVAR_TEST_CUTS=N: N), and the scenarios that wait for time-outs.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from command import invar, succeed
from invar.core.errors import InvarError
from invar.core.home import Home
from invar.vm.control import reset
from invar.vm.record import find
from machine.booted import CPUS, LONG, Node

pytestmark = [pytest.mark.build, pytest.mark.boot]

HERE = Path(__file__).parent
SWITCHES = int(os.environ.get("INVAR_TEST_SWITCHES", "100" if LONG else "6"))
CUTS = int(os.environ.get("INVAR_TEST_CUTS", "30" if LONG else "2"))
long_only = pytest.mark.skipif(not LONG, reason="INVAR_TEST_LONG=1 runs it")
SECONDS = 600.0
CONFIGURATIONS = "/var/lib/configurations"
COUNTS = "; ".join(
    (
        "grep -c . /proc/self/mountinfo",
        "ls /sys/block | grep -c ^dm-",
        "ls /sys/block/loop*/loop/backing_file 2>/dev/null | wc -l",
    )
)
STATE = "cat /proc/sys/kernel/random/boot_id; systemctl is-active invar-boot-health"
ESP = "mkdir -p /run/looked && mount /dev/disk/by-partlabel/ESP /run/looked && {}; umount /run/looked"
EDIT = """
import pathlib
entry = max(pathlib.Path("/run/looked/EFI/Linux").glob("invar-0*.efi"))
content = entry.read_bytes()
assert content.count(b"invartest.a=1") == 1
entry.write_bytes(content.replace(b"invartest.a=1", b"invartest.a=2"))
"""

FLIP = """
import os, sys
with open(sys.argv[1], "r+b", buffering=0) as device:
    for place in sys.argv[2:]:
        device.seek(int(place))
        byte = device.read(1)[0]
        device.seek(int(place))
        device.write(bytes([byte ^ 1]))
    os.fsync(device)
"""
ALTER_KERNEL = """
import pathlib, sys
sys.path.insert(0, "/usr/lib/invar")
from invar.image.uki import read_sections
entry = max(pathlib.Path("/run/looked/EFI/Linux").glob("invar-0*.efi"))
content = bytearray(entry.read_bytes())
kernel = next(one for one in read_sections(content) if one.name == ".linux")
end = kernel.offset + len(content[kernel.offset : kernel.offset + kernel.file_size].rstrip(b"\\0"))
content[end - 1] ^= 1
entry.write_bytes(content)
"""
OLDER_ENTRIES = (
    "cd /run/looked/EFI/Linux; for entry in *.efi; do case $entry in invar-000001*) ;; "
    "*) cp invar-000001* $entry ;; esac; done; cd /"
)


@pytest.fixture(scope="module")
def node(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    project = shutil.copytree(HERE / "switching", tmp_path_factory.mktemp("switch") / "switching")
    shutil.copy(HERE / "node/page.nix", project)
    hardware = ("--cpus", str(CPUS), "--port", "80", "--port", "7777")
    started = succeed("run", project, "--detach", "--name", "switch-test", *hardware, "--json", home=home).json()
    made = Node(started["name"], home)
    try:
        await_generation(made, 1)
        made.run(f"cp -r /etc/invar/configuration {CONFIGURATIONS}")
        yield made
    finally:
        made.hang_up()
        invar("stop", "--force", made.name, home=home)


def configuration(node: Node, name: str, *lines: str) -> str:
    """A configuration on the machine: the image's own with a role and further lines; its path."""
    text = "\n".join(["{ imports = [ ./configuration.nix ];", f'invar.parameters.role = "{name}";', *lines, "}"])
    path = f"{CONFIGURATIONS}/{name}.nix"
    written = node.run(f"cat > {path} <<'END'\n{text}\nEND")
    assert written.code == 0, written.err
    return path


def switch(node: Node, verb: str, *arguments: str) -> dict[str, Any]:
    """Run a verb that must succeed."""
    done = node.run(f"invar {verb} --json {' '.join(arguments)}")
    assert done.code == 0, done.out + done.err + node.console()[-2000:]
    result: dict[str, Any] = done.json()
    return result


def listed(node: Node) -> dict[int, dict[str, Any]]:
    """The machine's generations by number."""
    return {one["number"]: one for one in switch(node, "generations")}


def booted(node: Node) -> int:
    """The number of the generation that was booted."""
    return next(number for number, one in listed(node).items() if one["booted"])


def active(node: Node) -> int:
    """The number of the active one, which the next boot takes: a live switch leads away from what was booted."""
    return next(number for number, one in listed(node).items() if one["active"])


def main_pid(node: Node, unit: str) -> str:
    return node.run(f"systemctl show -P MainPID {unit}").out.strip()


def entries(node: Node) -> list[str]:
    """The boot entries' file names."""
    return node.run(ESP.format("ls /run/looked/EFI/Linux")).out.split()


def await_that(node: Node, holds: Callable[[], bool], what: str, pause: Callable[[], None] | None = None) -> None:
    """Wait until something holds on a machine that may be restarting, with a `pause` between two looks."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (AssertionError, InvarError, OSError, ValueError, StopIteration, subprocess.TimeoutExpired):
            pass  # the machine restarts: not now
        if pause is None:
            time.sleep(2)
        else:
            pause()
    raise AssertionError(f"not within {SECONDS} s: {what}\n{node.console()[-4000:]}")


def boot_id(node: Node) -> str:
    done = node.run("cat /proc/sys/kernel/random/boot_id", 60)
    assert done.code == 0
    return done.out.strip()


def await_generation(node: Node, number: int, *, other_than: str = "") -> None:
    """Wait until a generation is booted, in another boot than the given one, and was judged good."""

    seen = len(node.console())

    def holds() -> bool:
        boot, health = node.run(STATE, 60).out.split()  # a ValueError, as long as nothing answers
        if boot == other_than or health != "active":
            return False
        known = listed(node)
        return known[number]["booted"] and known[number]["state"] == "good"

    await_that(node, holds, f"generation {number} is booted and good", lambda: node.pause(seen))


def restart(node: Node, expected: int) -> None:
    before, seen = boot_id(node), len(node.console())
    node.restart_machine()
    node.await_proof(seen)
    await_generation(node, expected, other_than=before)


class Echo:
    """A connection to the service that no switch may touch."""

    def __init__(self, node: Node) -> None:
        self._socket = socket.create_connection(("127.0.0.1", find(node.home, node.name).port(7777)), 60)
        self._socket.settimeout(60)

    def answers(self) -> bool:
        word = random.randbytes(8).hex().encode() + b"\n"
        self._socket.sendall(word)
        return self._socket.makefile("rb").readline() == word


def test_the_first_generation_is_the_image(node: Node) -> None:
    assert node.page() == "role baked"
    generations = listed(node)
    assert [(one["number"], one["origin"], one["bootable"], one["active"]) for one in generations.values()] == [
        (1, "image", True, True)
    ]
    assert entries(node) == ["invar-000001.efi"]
    assert len(generations[1]["kernel_sha256"]) == 64


def test_a_live_switch_restarts_the_changed_unit_alone(node: Node) -> None:
    echo = Echo(node)
    before = {unit: main_pid(node, unit) for unit in ("echo", "nginx", "ssh", "sshd", "systemd-journald")}
    plan = switch(node, "dry-run", configuration(node, "one"))
    assert node.page() == "role baked" and listed(node).keys() == {1}
    done = switch(node, "switch", configuration(node, "one"))
    print("seconds", done["seconds"])
    assert done["changes"] == plan["changes"] and done["files"] == plan["files"]
    assert {*done["changes"]["restart"], *done["changes"]["stop"], *done["changes"]["start"]} == {"nginx.service"}
    assert node.page() == "role one"
    assert echo.answers()
    after = {unit: main_pid(node, unit) for unit in before}
    assert {unit for unit in before if before[unit] != after[unit]} == {"nginx"}
    proof = node.proof()
    assert (proof.booted_generation, proof.active_generation) == (1, 2)
    assert {layer.state for layer in proof.layers} == {"verified"} and proof.refused is None
    assert entries(node) == ["invar-000001.efi", "invar-000002+1.efi"]
    assert "role one" in switch_text(node)


def switch_text(node: Node) -> str:
    return node.run("cat $(grep -o '/nix/store/[^;]*index.html' /etc/nginx/nginx.conf | head -1)/index.html").out


def test_rollback_is_live_too(node: Node) -> None:
    echo = Echo(node)
    done = switch(node, "rollback")
    assert (done["generation"], node.page(), echo.answers()) == (1, "role baked", True)
    assert entries(node) == ["invar-000001.efi", "invar-000002+0.efi"]
    differences = switch(node, "diff", "1", "2")
    assert "nginx/nginx.conf" in differences["files"] and differences["packages"] == {}
    assert (differences["units"], differences["kernel"], differences["initrd"]) == (["nginx.service"], None, False)
    said = node.run("invar diff 1 2").out.splitlines()
    assert "unit nginx.service" in said and "~ /etc/nginx/nginx.conf" in said


def test_what_fails_its_checks_is_taken_back(node: Node) -> None:
    echo = Echo(node)
    path = configuration(node, "bad", 'invar.checks.never = { command = [ "false" ]; timeout = 3; };')
    done = node.run(f"invar switch {path}")
    assert done.code == 1 and "fails its checks" in done.err and "never" in done.err
    assert node.page() == "role baked" and echo.answers()
    proof = node.proof()
    assert proof.active_generation == 1 and proof.refused is not None and "never" in proof.refused
    assert [one["number"] for one in listed(node).values() if one["state"] == "failed"] == [3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('networking.hostname = "x";', "networking.hostName"),
        ("invar.machine.enable = false;", "takes Invar off"),
        ('boot.initrd.availableKernelModules = [ "dm_crypt" ];', "another initrd"),
        ("this is no Nix", "syntax error"),
    ],
)
def test_what_cannot_be_made_here_is_refused(node: Node, line: str, said: str) -> None:
    done = node.run(f"invar switch {configuration(node, 'wrong', line)}")
    assert done.code == 1 and said in done.err and "Traceback" not in done.err, done.err
    assert node.page() == "role baked"


def test_packages_that_the_image_lacks_are_named(node: Node) -> None:
    text = "{ pkgs, ... }: { imports = [ ./configuration.nix ]; environment.systemPackages = [ pkgs.jq ]; }"
    node.run(f"echo '{text}' > {CONFIGURATIONS}/jq.nix")
    done = node.run(f"invar switch {CONFIGURATIONS}/jq.nix")
    assert done.code == 1 and "not in this machine's image: jq" in done.err


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("invar rollback 77", 2, "there is no generation 77"),
        ("invar switch /nowhere", 1, "there is no configuration"),
        ("invar delete-generations --yes 1", 2, "generation 1 is"),
        ("invar delete-generations", 2, "say which"),
        ("invar frobnicate", 2, "no verb"),
        ("invar", 2, "usage"),
        ("runuser -u nobody invar generations", 1, "sudo"),
    ],
)
def test_wrong_use_is_told(node: Node, command: str, code: int, said: str) -> None:
    done = node.run(command)
    assert (done.code, said in done.out + done.err) == (code, True), done.out + done.err


def test_a_test_lasts_until_the_next_boot(node: Node) -> None:
    done = switch(node, "test", configuration(node, "two"))
    assert (done["generation"], node.page()) == (0, "role two")
    assert node.proof().active_digest == done["digest"]
    assert listed(node).keys() == {1, 2, 3}
    assert switch(node, "rollback", "1")["generation"] == 1
    assert node.page() == "role baked"


def test_switching_to_and_fro_leaves_nothing_behind(node: Node) -> None:
    paths = [configuration(node, name) for name in ("one", "three")]
    for path in paths:
        switch(node, "switch", path)
    before = node.run(COUNTS).out
    once = "; ".join(f"invar switch --json {path} >/dev/null || exit 1" for path in paths)
    done = node.run(f"for i in $(seq {SWITCHES // 2}); do {once}; done", 6000)
    assert done.code == 0, done.err
    assert node.run(COUNTS).out == before
    assert node.page() == "role three"
    assert {one["number"] for one in listed(node).values()} == {1, 2, 3, 4}


def test_gc_takes_what_failed_and_says_so_first(node: Node) -> None:
    told = switch(node, "gc")
    assert told["generations"] == [3] and not told["deleted"]
    assert 3 in listed(node)
    assert switch(node, "gc", "--yes")["deleted"]
    assert listed(node).keys() == {1, 2, 4}
    layers = node.run("ls -A /var/lib/invar/layers").out.split()
    assert len(layers) == 2 and all(name.startswith("config-") for name in layers)


def test_a_switched_generation_boots_and_is_good(node: Node) -> None:
    restart(node, 4)
    assert node.page() == "role three"
    assert entries(node)[-1] == "invar-000004.efi"
    proof = node.proof()
    assert proof.booted_digest == proof.active_digest == listed(node)[4]["digest"]
    assert {layer.state for layer in proof.layers} == {"verified"}


SLOW = 'invar.checks.slow = { command = [ "test" "-e" "/run/ok" ]; timeout = 140; };'


def begin_switch(node: Node, unit: str) -> None:
    """Begin a switch that waits for its check, in a service; returns while it waits."""
    begun = node.run(f"systemd-run --quiet --unit={unit} invar switch {configuration(node, 'slow', SLOW)}")
    assert begun.code == 0, begun.err
    await_that(node, lambda: node.page() == "role slow", "the switch waits for its check")


@pytest.mark.parametrize("signal", ["INT", "TERM"])
def test_a_switch_that_is_interrupted_is_taken_back(node: Node, signal: str) -> None:
    echo, before = Echo(node), node.proof()
    begin_switch(node, f"slow-{signal}")
    busy = node.run("invar gc")
    assert busy.code == 1 and "another invar is at work" in busy.err and "invar switch (process" in busy.err
    node.run(f"systemctl kill --signal={signal} slow-{signal}")
    await_that(node, lambda: node.page() == "role three", "the switch is taken back")
    await_that(node, lambda: "interrupted" in (node.proof().refused or ""), "proof tells of it")
    assert node.proof().active_digest == before.active_digest and echo.answers()
    newest = max(listed(node).values(), key=lambda one: one["number"])
    assert (newest["state"], newest["bootable"]) == ("failed", False)
    refused = node.run(f"invar rollback {newest['number']}")
    assert refused.code == 1 and "has no boot entry" in refused.err


def test_what_was_interrupted_is_switched_to_again_and_outlives_its_terminal(node: Node) -> None:
    begin_switch(node, "slow-HUP")
    node.run("systemctl kill --signal=HUP slow-HUP; touch /run/ok")
    await_that(node, lambda: node.run("systemctl is-active slow-HUP").out.strip() == "inactive", "the switch ends")
    assert node.page() == "role slow"
    newest = max(listed(node).values(), key=lambda one: one["number"])
    assert (newest["state"], newest["bootable"], newest["active"]) == ("good", True, True)
    assert switch(node, "rollback", "4")["active"] and node.page() == "role three"


def test_a_volume_that_is_declared_is_made_mounted_and_taken_away(node: Node) -> None:
    made = node.run("truncate -s 64M /var/volume && losetup /dev/loop9 /var/volume")
    assert made.code == 0, made.err
    volume = (
        'fileSystems."/srv/data" = { device = "/dev/loop9"; fsType = "ext4"; autoFormat = true; '
        'options = [ "noexec" "nodev" ]; };'
    )
    path = configuration(node, "volume", volume)
    done = switch(node, "switch", path)
    assert "var-srv-data.mount" in done["changes"]["start"]
    options = node.run("findmnt -n -o FSTYPE,OPTIONS /srv/data").out
    assert "ext4" in options and "noexec" in options and "nodev" in options
    assert node.run("echo kept > /srv/data/file").code == 0
    back = switch(node, "rollback", "4")["changes"]
    assert "var-srv-data.mount" in back["stop"] and "local-fs.target" in back["stopped_with"]
    assert node.run("findmnt /srv/data").out == ""
    assert node.run("systemctl is-active local-fs.target").out == "active\n"
    assert "var-srv-data.mount" in switch(node, "switch", path)["changes"]["start"]
    assert node.run("cat /srv/data/file").out == "kept\n"
    switch(node, "rollback", "4")
    assert node.run("losetup -d /dev/loop9").code == 0


def test_a_generation_that_panics_falls_back(node: Node) -> None:
    """Also one that was switched to live, and was good as far as that goes."""
    done = switch(node, "switch", configuration(node, "panics", 'boot.kernelParams = [ "rdinit=/nowhere" ];'))
    assert done["active"] and node.page() == "role panics"
    restart(node, 4)
    assert listed(node)[done["generation"]]["state"] == "failed"
    refused = node.proof().refused
    assert refused is not None and f"generation {done['generation']} did not come up" in refused
    assert f"invar: generation {done['generation']} did not come up" in node.console()
    assert "Kernel panic" in node.console()


def test_a_generation_that_fails_its_checks_at_boot_falls_back(node: Node) -> None:
    line = 'invar.checks.never = { command = [ "false" ]; timeout = 3; };'
    done = switch(node, "boot", configuration(node, "unhealthy", line))
    restart(node, 4)
    assert listed(node)[done["generation"]]["state"] == "failed"
    refused = node.proof().refused
    assert refused is not None and "failed its checks" in refused and "never" in refused
    assert "going back to the last good generation" in node.console()
    assert node.page() == "role three"


def test_power_cuts_leave_a_whole_generation(node: Node) -> None:
    paths = {name: configuration(node, name) for name in ("one", "three", "four", "five")}
    random.seed(7)
    for cut in range(CUTS):
        name = random.choice(list(paths))
        work = random.choice([f"invar switch {paths[name]}", "invar rollback 2; invar gc --yes"])
        before = boot_id(node)
        node.run(f"systemd-run --quiet --unit=cut-{cut} sh -c '{work}'")
        time.sleep(random.uniform(0.0, 12.0))
        reset(find(node.home, node.name))
        node.hang_up()

        seen = len(node.console())
        node.await_proof(seen)

        def settled(previous: str = before) -> bool:
            boot, health = node.run(STATE, 60).out.split()
            return boot != previous and health in ("active", "failed")

        await_that(node, settled, f"a boot after cut {cut} ({work})", lambda seen=seen: node.pause(seen))
        generation = listed(node)[booted(node)]
        proof = node.proof()
        assert generation["state"] == "good", node.console()[-3000:]
        assert (proof.active_digest, proof.booted_digest) == (generation["digest"], generation["digest"])
        assert {check.state for check in proof.checks} == {"passed"}
        assert node.page() in ("role one", "role three", "role four", "role five", "role baked")
    assert switch(node, "switch", paths["three"])["active"]
    assert switch(node, "gc", "--yes")["deleted"]


def flip(node: Node, partition: str, *places: int) -> None:
    """Turn a bit of bytes of a partition over, below what proves it."""
    done = node.run(f"python3 -c '{FLIP}' /dev/disk/by-partlabel/{partition} {' '.join(map(str, places))}")
    assert done.code == 0, done.err


def test_flipped_bytes_of_the_packages_are_not_read_and_shown_by_proof(node: Node) -> None:
    one = listed(node)[active(node)]
    last = one["packages"]["data_blocks"] - 1
    device = node.run("grep -lx invar-packages /sys/block/dm-*/dm/name").out.split("/")[3]
    read = f"dd if=/dev/{device} of=/dev/null bs=4096 iflag=direct count=1 skip={last}"
    assert node.run(read).code == 0 and node.proof().shows(one["digest"])
    flip(node, "invar-packages", last * 4096 + 17)
    assert "Input/output error" in node.run(read).err
    flip(node, "invar-packages", last * 4096 + 17)
    proof = node.proof()
    assert {layer.kind: layer.state for layer in proof.layers} == {"packages": "corrupted", "config": "verified"}
    assert not proof.shows(one["digest"])
    assert invar("proof", node.name, "--expect", one["digest"], home=node.home).code == 3


def test_flipped_bytes_of_the_images_configuration_are_not_gone_back_to(node: Node) -> None:
    before, page = node.proof(), node.page()
    flip(node, "invar-config", 1030)
    done = node.run("invar rollback 1")
    flip(node, "invar-config", 1030)
    assert done.code == 1 and "does not match its root hash" in done.err, done.err
    assert node.proof().active_digest == before.active_digest and node.page() == page


def test_an_altered_layer_is_never_booted(node: Node) -> None:
    done = switch(node, "boot", configuration(node, "altered"))
    generation = listed(node)[done["generation"]]
    before = active(node)
    layer = f"/var/lib/invar/layers/config-{generation['config']['root_hash']}"
    node.run(f'python3 -c \'f = open("{layer}", "r+b"); f.seek(1030); f.write(b"x"); f.flush()\' && sync')
    restart(node, before)
    assert listed(node)[done["generation"]]["state"] == "failed"
    assert "invar: this machine does not boot" in node.console()


def test_an_edited_command_line_is_shown_by_proof(node: Node) -> None:
    path = configuration(node, "edited", 'boot.kernelParams = [ "invartest.a=1" ];')
    done = switch(node, "switch", path)
    edited = node.run(ESP.format("python3 -c '" + EDIT + "'"))
    assert edited.code == 0, edited.err
    restart(node, done["generation"])
    proof = node.proof()
    assert "invartest.a=2" in node.run("cat /proc/cmdline").out
    assert proof.booted_digest != done["digest"]


@long_only
@pytest.mark.parametrize(
    "fault", ["kill -SEGV 1", "echo 1 > /sys/fs/cgroup/init.scope/cgroup.freeze"], ids=["crashes", "hangs"]
)
def test_a_first_process_that_fails_restarts_the_machine(node: Node, fault: str) -> None:
    before, number = boot_id(node), active(node)
    node.run(f"systemd-run --quiet sh -c 'sleep 1; {fault}'")
    await_generation(node, number, other_than=before)


@long_only
def test_an_altered_kernel_is_shown_by_proof(node: Node) -> None:
    """Its signature, which nobody looks at without Secure Boot: it boots all the same."""
    path = configuration(node, "kernel", 'boot.kernelParams = [ "invartest.a=3" ];')
    done = switch(node, "switch", path)
    altered = node.run(ESP.format(f"python3 -c '{ALTER_KERNEL}'"))
    assert altered.code == 0, altered.err
    restart(node, done["generation"])
    proof = node.proof()
    assert done["digest"] not in (proof.booted_digest, proof.active_digest)
    assert f"the kernel of generation {done['generation']} was altered" in node.console()


@long_only
def test_an_older_system_under_the_newer_ones_names_is_shown_by_proof(node: Node) -> None:
    """Under all of them: the boot loader goes by what is in an entry, and does not take an old one under one name."""
    done = switch(node, "switch", configuration(node, "newest"))
    assert node.run(ESP.format(OLDER_ENTRIES)).code == 0
    restart(node, 1)
    assert node.proof().active_digest == listed(node)[1]["digest"]
    assert invar("proof", node.name, "--expect", done["digest"], home=node.home).code == 3


@long_only
def test_a_generation_that_finds_no_disk_falls_back(node: Node) -> None:
    """The disk's driver is built into Debian's cloud kernel, where module_blacklist= does not reach."""
    before = active(node)
    line = 'boot.kernelParams = [ "initcall_blacklist=nvme_init" ];'
    done = switch(node, "boot", configuration(node, "diskless", line))
    restart(node, before)
    assert listed(node)[done["generation"]]["state"] == "failed"
    assert "seconds there is no disk with the partitions" in node.console()
