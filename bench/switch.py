"""How long a live switch takes, on a running machine: `invar run DIR --detach`, then this with the machine's name.

Medians of wall seconds by stage, as `invar switch --json` tells them, beside the restart that a switch saves.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

EDIT = """
rm -rf /run/bench && cp -r /etc/invar/configuration /run/bench
entry=$(python3 -c 'import json; print(json.load(open("/etc/invar/image.json"))["entry"])')
for n in 1 2; do
    printf '{ imports = [ ./%s ]; environment.etc.bench.text = "%s"; }' "$entry" "$n" > /run/bench/bench-$n.nix
done
"""


def inside(machine: str, command: str) -> str:
    """A shell line on the machine, as root; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "invar", "ssh", machine, command], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{command!r} failed on {machine}: {done.stderr or done.stdout}")
    return done.stdout


def restart(machine: str) -> float:
    """Seconds from asking for a restart until the boot was judged good."""
    before = inside(machine, "cat /proc/sys/kernel/random/boot_id")
    started = time.monotonic()
    inside(machine, "systemctl --no-block reboot")
    while True:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "invar", "ssh", machine),
                "cat /proc/sys/kernel/random/boot_id; systemctl is-active invar-boot-health",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout.endswith("active\n") and not done.stdout.startswith(before) and "inactive" not in done.stdout:
            return time.monotonic() - started
        time.sleep(0.5)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("machine")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--restart", action="store_true", help="measure a restart too")
    options = parser.parse_args()
    inside(options.machine, EDIT)
    rows: dict[str, list[float]] = {}
    for number in range(2 * options.times + 2):
        started = time.monotonic()
        done = json.loads(inside(options.machine, f"invar switch --json /run/bench/bench-{number % 2 + 1}.nix"))
        if number < 2:
            continue  # the first two make their generations and fill the caches
        for stage, seconds in done["seconds"].items():
            rows.setdefault(stage, []).append(seconds)
        rows.setdefault("all, as seen through ssh", []).append(time.monotonic() - started)
    for stage, seconds in rows.items():
        print(f"{stage:<28}{statistics.median(seconds):8.2f} s")
    if options.restart:
        print(f"{'a restart, for comparison':<28}{restart(options.machine):8.2f} s")


if __name__ == "__main__":
    main()
