"""How long a switch takes on a booted machine: live, by a soft-reboot, by a reboot.

    .venv/bin/python bench/switch.py [DIR] [--times 5] [--restarts 3]

Starts a machine of DIR (default: the tests' node), builds the same system with one package more into a build cache, and
switches to and fro. Prints medians of wall seconds, as `invar switch --json` tells them and as seen from outside: from
the command until the checks of the system that was switched to have passed.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

NODE = Path(__file__).parent.parent / "tests/machine/node"
HOST = "169.255.0.1"
"""This computer, as a local machine sees it."""
OTHER = """{ pkgs, ... }:
{ imports = [ ./configuration.nix ]; environment.systemPackages = [ pkgs.jq ]; environment.etc.bench.text = "other"; }
"""
EDIT = """
rm -rf /var/lib/bench && cp -r /etc/invar/configuration /var/lib/bench
cd /var/lib/bench
for n in 1 2; do
    printf '{ imports = [ ./configuration.nix ]; environment.etc.bench.text = "%s"; }' "$n" > bench-$n.nix
done
"""
ALL = "all"
STATE = "cat /proc/sys/kernel/random/boot_id; systemctl show -P SoftRebootsCount; systemctl is-active invar-boot-health"


def invar(*arguments: str | Path) -> str:
    """Run the command; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "invar", *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"invar {' '.join(map(str, arguments))} failed")
    return done.stdout


def inside(machine: str, command: str) -> str:
    """A shell line on the machine, as root; what it printed."""
    return invar("ssh", machine, command)


def attempt(machine: str, command: str) -> str:
    """As `inside`, for a machine that may not be there: then what was printed is nothing."""
    command_line = [sys.executable, "-m", "invar", "ssh", machine, command]
    return subprocess.run(command_line, capture_output=True, text=True, check=False).stdout


def restarted(machine: str, command: str) -> float:
    """Seconds from a command that restarts the machine, one way or the other, until the new start was judged good."""
    before = inside(machine, STATE).split()[:2]
    started = time.monotonic()
    attempt(machine, command)
    while True:
        words = attempt(machine, STATE).split()
        if len(words) == 3 and words[:2] != before and words[2] == "active":
            return time.monotonic() - started
        time.sleep(0.5)


def live_switches(machine: str, times: int) -> dict[str, list[float]]:
    """Seconds by stage."""
    rows: dict[str, list[float]] = {}
    for number in range(2 * times + 2):
        started = time.monotonic()
        done = json.loads(inside(machine, f"invar switch --json /var/lib/bench/bench-{number % 2 + 1}.nix"))
        if number < 2:
            continue  # the first two make their generations and fill the caches
        for stage, seconds in done["seconds"].items():
            rows.setdefault(stage, []).append(seconds)
        rows.setdefault(ALL, []).append(time.monotonic() - started)
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=NODE)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        project, cache = Path(temporary) / "project", Path(temporary) / "cache"
        shutil.copytree(options.directory, project)
        (project / "other.nix").write_text(OTHER)
        machine = json.loads(invar("run", project, "--detach", "--name", "bench-switch", "--json"))["name"]
        try:
            measure(machine, project, cache, options.times, options.restarts)
        finally:
            invar("stop", "--force", machine)


def measure(machine: str, project: Path, cache: Path, times: int, restarts: int) -> None:
    """Switch in each way, and print."""
    invar("lock", project / "other.nix")
    digest = json.loads(invar("cache", "export", cache, project / "other.nix", "--json"))["system_digest"]
    files = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(cache))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while attempt(machine, "systemctl is-active invar-boot-health amazon-init").split() != ["active"] * 2:
        time.sleep(1)
    inside(machine, EDIT)
    stages = {name: statistics.median(seconds) for name, seconds in live_switches(machine, times).items()}
    table = {"live switch, as seen from outside": stages.pop(ALL)}
    table["live switch, on the machine"] = sum(stages.values())
    back = [sum(json.loads(inside(machine, f"invar rollback {n} --json"))["seconds"].values()) for n in (2, 3) * times]
    table["live rollback, on the machine"] = statistics.median(back)
    inside(machine, "invar rollback 1 --json")
    there = f"invar switch --generation {digest} --cache http://{HOST}:{server.server_address[1]}"
    table["soft-reboot, with its packages fetched"] = restarted(machine, there)
    ways = ["invar rollback 1", there] * restarts
    table["soft-reboot"] = statistics.median(restarted(machine, way) for way in ways[:restarts])
    inside(machine, "invar rollback 1 --boot")
    table["reboot"] = statistics.median(restarted(machine, "systemctl --no-block reboot") for _ in range(restarts))
    print("| | seconds | of a reboot |\n|---|---|---|")
    for name, seconds in table.items():
        print(f"| {name} | {seconds:.1f} | {seconds / table['reboot']:.2f} |")
    print("\n" + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in stages.items()))


if __name__ == "__main__":
    main()
