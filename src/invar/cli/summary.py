"""Results as JSON data and as text for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.image.info import INFO_FILE

if TYPE_CHECKING:
    from invar.core.events import Report
    from invar.engines.native import Built
    from invar.image.layer import Layer
    from invar.vm.checks import CheckReport
    from invar.vm.record import Machine


def build_result(built: Built, path: Path, report: Report) -> dict[str, Any]:
    """What `invar build --json` prints."""
    image = built.image
    return {
        "system_digest": image.system_digest,
        "spec_digest": built.system.spec_digest,
        "lock_digest": built.lock.digest,
        "image": str(path),
        "info": str(built.artifact.directory / INFO_FILE),
        "format": built.artifact.format,
        "bytes": image.logical_bytes,
        "allocated_bytes": path.stat().st_blocks * 512,
        "layers": {layer.kind: layer_data(layer) for layer in (image.packages, image.config)},
        "packages": len(built.lock.image),
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        "cached": all(report.cached.values()),
    }


def layer_data(layer: Layer) -> dict[str, Any]:
    """A layer in `--json`."""
    return {"root_hash": layer.root_hash, "salt": layer.salt, "bytes": layer.bytes}


def print_build(result: dict[str, Any]) -> None:
    """The result of a build for people: the path on standard output, all else on standard error."""
    for line in build_lines(result):
        click.echo(line, err=True)
    click.echo(result["image"])


def build_lines(result: dict[str, Any]) -> list[str]:
    """Digests, sizes and times of a build."""
    layers = result["layers"]
    sizes = ", ".join(f"{kind} layer {layer['bytes'] / 1e6:.1f} MB" for kind, layer in layers.items())
    lines = [
        f"system digest  {result['system_digest']}",
        f"spec digest    {result['spec_digest']}",
        f"image          {result['format']}, {result['bytes'] / 2**30:.0f} GiB disk, "
        f"{result['allocated_bytes'] / 1e6:.0f} MB in use: {sizes}",
    ]
    slow = {stage: seconds for stage, seconds in result["seconds"].items() if seconds >= 0.005}
    if slow:
        lines.append("seconds        " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in slow.items()))
    return lines


def checks_data(machine: Machine, report: CheckReport) -> dict[str, Any]:
    """What `invar check --json` prints."""
    return {
        "machine": machine.name,
        "digest": machine.digest,
        "passed": report.passed,
        "boot_seconds": report.boot_seconds,
        "checks": [
            {
                "name": result.name,
                "kind": result.kind,
                "passed": result.passed,
                "seconds": round(result.seconds, 2),
                "why": result.why,
                "evidence": result.evidence,
            }
            for result in report.results
        ],
    }


def print_checks(report: CheckReport) -> None:
    """A line a check; of a failed one also why, and what the machine's own records say."""
    for result in report.results:
        mark = click.style("✓", fg="green") if result.passed else click.style("✗", fg="red")
        click.echo(f"{mark} {result.name} ({result.kind}) {result.seconds:.1f} s")
        if not result.passed:
            for line in [*(result.why or "").splitlines(), *(result.evidence or "").splitlines()]:
                click.echo(f"    {line}")
    if not report.passed and report.console:
        click.echo(report.console)
