"""Times building the example: cold, after a one-line change, unchanged; beside mmdebstrap with the same package set.

    python bench/build.py [--runs N] [--project DIR] [--home DIR]

"Cold" has the .deb files (on both sides) and nothing else: no index, no unpacked package, no layer, no compiled code.
mmdebstrap only makes a tree; Invar makes the tree, two verity-protected layers, initrd, UKI and a bootable disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from invar.debian.mirrors import find_mirrors

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Prepare, measure in turns, print the table."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="invar-bench-", dir=options.scratch) as scratch:
        work = Path(scratch)
        project = work / "project"
        shutil.copytree(options.project, project)
        warm_home = options.home or work / "home"
        first = build(project, warm_home)
        lock = json.loads((project / "invar.lock").read_text())
        rows: dict[str, list[float]] = {}
        for run in range(options.runs):
            cold_home = work / f"cold-{run}"
            keep_debs(warm_home, cold_home)
            record(rows, "invar, cold (debs downloaded)", lambda home=cold_home: build(project, home))
            shutil.rmtree(cold_home, ignore_errors=True)
            record(rows, "invar, one line changed", lambda n=run: build(change(project, n), warm_home))
            record(rows, "invar, unchanged", lambda: build(project, warm_home))
            if shutil.which("mmdebstrap"):
                record(rows, "mmdebstrap, tree only", lambda n=run: mmdebstrap(lock, warm_home, work / f"tree-{n}"))
        show(rows, first)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--project", type=Path, default=ROOT / "examples" / "production-web")
    parser.add_argument("--home", type=Path, help="an INVAR_HOME with the packages already fetched")
    parser.add_argument("--scratch", type=Path, help="where to work (default: the system's temporary directory)")
    return parser.parse_args()


def record(rows: dict[str, list[float]], name: str, work: Callable[[], object]) -> None:
    """Time one run of one row."""
    start = time.monotonic()
    work()
    rows.setdefault(name, []).append(time.monotonic() - start)


def build(project: Path, home: Path) -> dict[str, object]:
    """`invar build` in a process of its own, as a user runs it."""
    command = [str(ROOT / "bin" / "invar"), "--quiet", "build", str(project), "--json"]
    done = subprocess.run(command, env={**os.environ, "INVAR_HOME": str(home)}, stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def keep_debs(source: Path, target: Path) -> None:
    """A new home whose store has only the .deb files of another, by hard link."""
    debs = source / "store" / "deb"
    shutil.copytree(debs, target / "store" / "deb", copy_function=os.link)


def change(project: Path, number: int) -> Path:
    """Change one line of the configuration."""
    configuration = project / "configuration.nix"
    text = configuration.read_text()
    lines = [line for line in text.splitlines() if "networking.domain" not in line]
    place = next(index for index, line in enumerate(lines) if "networking.hostName" in line)
    lines.insert(place + 1, f'  networking.domain = "run-{number}-{time.time_ns()}.example";')
    configuration.write_text("\n".join(lines) + "\n")
    return project


def mmdebstrap(lock: dict[str, object], home: Path, target: Path) -> None:
    """The same packages as a tree, from the same downloaded .deb files, by mmdebstrap from the host's mirror."""
    packages, names = lock["packages"], lock["image"]
    assert isinstance(packages, dict)
    assert isinstance(names, list)
    archives = target.with_name(target.name + "-debs")
    archives.mkdir()
    for name in names:
        package = packages[name]
        version = package["version"].replace(":", "%3a")
        stored = next((home / "store" / "deb").rglob(f"*{package['sha256']}*"))
        deb = next(stored.rglob("*.deb")) if stored.is_dir() else stored
        os.link(deb, archives / f"{name}_{version}_{package['arch']}.deb")
    hook = f'mkdir -p "$1"/var/cache/apt/archives && cp {archives}/*.deb "$1"/var/cache/apt/archives/'
    include = ",".join(f"{name}={packages[name]['version']}" for name in names)
    command = ["mmdebstrap", "--quiet", "--variant=custom", f"--include={include}", f"--setup-hook={hook}"]
    sources = archives / "sources.list"
    sources.write_text(apt_sources())
    subprocess.run([*command, "trixie", str(target), str(sources)], check=True, stdout=sys.stderr)
    shutil.rmtree(target)
    shutil.rmtree(archives)


def apt_sources() -> str:
    """The three suites from the mirror that Invar itself would use."""
    mirrors = find_mirrors(environment=os.environ)
    main, security = mirrors.main[0], mirrors.security[0]
    suites = ((main, "trixie"), (main, "trixie-updates"), (security, "trixie-security"))
    return "".join(f"deb {uri} {suite} main\n" for uri, suite in suites)


def show(rows: dict[str, list[float]], first: dict[str, object]) -> None:
    """Medians, and ratios to mmdebstrap where it ran."""
    peer = rows.get("mmdebstrap, tree only")
    print(f"{'':34}{'median s':>10}{'min':>8}{'max':>8}{'runs':>6}{'ratio':>8}")
    for name, seconds in rows.items():
        ratio = f"{statistics.median(seconds) / statistics.median(peer):.2f}" if peer else "-"
        line = f"{statistics.median(seconds):>10.2f}{min(seconds):>8.2f}{max(seconds):>8.2f}{len(seconds):>6}{ratio:>8}"
        print(f"{name:34}{line}")
    if not peer:
        print("mmdebstrap is not installed: no peer in this table (apt-get install mmdebstrap)")
    print(f"image: {first['bytes']} bytes logical, layers: {json.dumps(first['layers'])}")


if __name__ == "__main__":
    main()
