"""How long Terraform waits for the provider: its start until the handshake, and plans. Medians of wall seconds.

Beside each stands the floor: a Python that imports grpc and no more, and a terraform that plans without our provider.
Needs terraform on the PATH; nothing is published: plans build only (the image is built once before).

    python bench/terraform.py --times 7
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from invar import __version__
from invar.localcloud.process import start, stop
from invar.terraform.handshake import COOKIE
from invar.terraform.install import SOURCE, install

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = f'terraform {{\n required_providers {{\n  invar = {{ source = "{SOURCE}" }}\n }}\n}}\n'


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=7)
    times = parser.parse_args().times
    if shutil.which("terraform") is None:
        raise SystemExit("there is no terraform on the PATH")
    with tempfile.TemporaryDirectory(prefix="invar-bench-") as name:
        directory = Path(name)
        cloud = start(directory / "cloud")
        try:
            measure(directory, cloud.url, times)
        finally:
            stop(directory / "cloud")


def measure(directory: Path, cloud: str, times: int) -> None:
    """Every line of the table, with its floor."""
    own = directory / "own.tfrc"
    own.write_text("")
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": cloud,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "INVAR_COMMAND": str(ROOT / "bin" / "invar"),
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": str(own),
    }
    web = shutil.copytree(ROOT / "examples" / "production-web", directory / "web")
    image = f'resource "invar_image" "web" {{\n configuration = "{web}"\n regions = ["us-east-1"]\n}}\n'
    system = f'data "invar_system" "web" {{ configuration = "{web}" }}\n'
    alone = project(directory / "alone", 'resource "terraform_data" "web" { input = "x" }\n', environment)
    systems = project(directory / "system", REQUIRED + system, environment)
    images = project(directory / "image", REQUIRED + image, environment)

    floor = median(times, import_grpc)
    show("start until the handshake", median(times, lambda: handshake(environment)), floor, "python, import grpc")
    floor = median(times, lambda: terraform(alone, environment, "validate"))
    show("validate", median(times, lambda: terraform(images, environment, "validate")), floor, "terraform alone")
    floor = median(times, lambda: terraform(alone, environment, "plan"))
    show("plan: a system evaluated", median(times, lambda: terraform(systems, environment, "plan")), floor, "the same")
    terraform(images, environment, "plan")
    show("plan: an image, built", median(times, lambda: terraform(images, environment, "plan")), floor, "the same")
    changes = iter(range(times))

    def changed() -> None:
        extra = f'{{ environment.etc.bench.text = "{next(changes)}"; }}\n'
        (web / "bench.nix").write_text(extra)
        terraform(images, environment, "plan")

    entry = web / "configuration.nix"
    entry.write_text(entry.read_text().replace("./web.nix", "./web.nix ./bench.nix"))
    show("plan: an image, one line changed", median(times, changed), floor, "the same")


def median(times: int, work: Callable[[], float | None]) -> float:
    """Of the wall seconds of each run: those that it tells, or all that it took."""
    taken = []
    for _ in range(times):
        began = time.monotonic()
        told = work()
        taken.append(time.monotonic() - began if told is None else told)
    return statistics.median(taken)


def import_grpc() -> None:
    """What no provider in Python does without."""
    subprocess.run([sys.executable, "-c", "import grpc"], check=True)


def handshake(environment: dict[str, str]) -> float:
    """Start the provider as Terraform does and end it; the seconds until its line."""
    began = time.monotonic()
    with subprocess.Popen(
        [environment["INVAR_COMMAND"], "terraform", "serve", __version__],
        env={**environment, COOKIE[0]: COOKIE[1], "PLUGIN_PROTOCOL_VERSIONS": "6"},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        taken = time.monotonic() - began
        child.terminate()
    if not line.startswith("1|6|unix|"):
        raise SystemExit(f"no handshake: {line}")
    return taken


def terraform(directory: Path, environment: dict[str, str], verb: str) -> None:
    """One command that has to succeed."""
    command = ["terraform", verb, "-no-color"]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"terraform {verb} failed in {directory}: {done.stdout}{done.stderr}")


def project(directory: Path, text: str, environment: dict[str, str]) -> Path:
    """An initialised project."""
    directory.mkdir()
    (directory / "main.tf").write_text(text)
    install(directory, environment)
    terraform(directory, environment, "init")
    return directory


def show(what: str, seconds: float, floor: float, beside: str) -> None:
    """One line."""
    print(f"{what:34} {seconds:6.2f} s   {floor:5.2f} s ({beside})   x {seconds / floor:.1f}", flush=True)


if __name__ == "__main__":
    main()
