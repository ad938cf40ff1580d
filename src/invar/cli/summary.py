"""Results as JSON data and as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.image.info import INFO_FILE

if TYPE_CHECKING:
    from invar.core.events import Report
    from invar.engines.native_results import Built
    from invar.image.formats import Artifact
    from invar.image.formats.format import Format
    from invar.image.layer import Layer
    from invar.vm.checks import CheckReport
    from invar.vm.record import Machine


def build_result(built: Built, paths: Sequence[Path], report: Report) -> dict[str, Any]:
    """What `invar build --json` prints; `paths` are where the artifacts are."""
    image = built.image
    images = [_artifact_data(artifact, path) for artifact, path in zip(built.artifacts, paths, strict=True)]
    return {
        "system_digest": image.system_digest,
        "spec_digest": built.system.spec_digest,
        "lock_digest": built.lock.digest,
        **images[0],
        "bytes": image.logical_bytes,
        "images": images,
        "layers": {layer.kind: layer_data(layer) for layer in (image.packages, image.config)},
        "packages": len(built.lock.image),
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        "cached": all(report.cached.values()),
    }


def _artifact_data(artifact: Artifact, path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "image": str(path),
        "info": str(path.parent / INFO_FILE),
        "format": artifact.format,
        "file_bytes": status.st_size,
        "allocated_bytes": status.st_blocks * 512,
        "disk_bytes": int(artifact.info["logical_bytes"]) if "logical_bytes" in artifact.info else None,
    }


def formats_data(formats: Iterable[Format]) -> dict[str, Any]:
    """What `invar formats --json` prints: by name."""
    return {
        form.name: {
            "description": form.description,
            "aliases": list(form.aliases),
            "suffix": form.suffix,
            "disk": form.is_disk,
        }
        for form in formats
    }


def formats_lines(formats: Iterable[Format]) -> list[str]:
    """A line a format, for people."""
    rows = [(form.name, ", ".join(form.aliases), form.description) for form in formats]
    names, aliases = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"{name:{names}}  {also:{aliases}}  {description}" for name, also, description in rows]


def layer_data(layer: Layer) -> dict[str, Any]:
    """A layer in `--json`."""
    return {"root_hash": layer.root_hash, "salt": layer.salt, "bytes": layer.bytes}


def print_build(result: dict[str, Any]) -> None:
    """The result of a build for people: the paths on standard output, all else on standard error."""
    for line in build_lines(result):
        click.echo(line, err=True)
    for one in result["images"]:
        click.echo(one["image"])


def build_lines(result: dict[str, Any]) -> list[str]:
    """Digests, sizes and times of a build."""
    layers = result["layers"]
    sizes = ", ".join(f"{kind} layer {layer['bytes'] / 1e6:.1f} MB" for kind, layer in layers.items())
    lines = [
        f"system digest  {result['system_digest']}",
        f"spec digest    {result['spec_digest']}",
        *(
            f"image          {one['format']}, {_disk_size(one)}{one['allocated_bytes'] / 1e6:.0f} MB in use: {sizes}"
            for one in result["images"]
        ),
    ]
    slow = {stage: seconds for stage, seconds in result["seconds"].items() if seconds >= 0.005}
    if slow:
        lines.append("seconds        " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in slow.items()))
    return lines


def _disk_size(image: dict[str, Any]) -> str:
    size = image["disk_bytes"]
    return "" if size is None else f"{size / 2**30:.0f} GiB disk, "


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
