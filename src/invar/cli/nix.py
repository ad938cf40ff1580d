"""What verbs tell of an image that Nix built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.core.events import Report

if TYPE_CHECKING:
    from invar.engines.nix import NixImage


def engine_options(function: click.decorators.FC) -> click.decorators.FC:
    """`--engine` and `--attr`."""
    function = click.option("--attr", "attribute", metavar="NAME", help="With --engine nix: an attribute of FILE.nix.")(
        function
    )
    return click.option(
        "--engine",
        "engine_name",
        type=click.Choice(["native", "nix"]),
        help="Build out of Debian packages, or with your own Nix. Default: the flake's `invar.engine`, else native.",
    )(function)


def nix_result(image: NixImage, path: Path, report: Report) -> dict[str, Any]:
    """What `invar build --engine nix --json` prints."""
    status = path.stat()
    return {
        "engine": "nix",
        "system_digest": image.system_digest,
        "spec_digest": image.spec_digest,
        "name": image.name,
        "architecture": image.architecture,
        "image": str(path),
        "format": "amazon",
        "bytes": status.st_size,
        "allocated_bytes": status.st_blocks * 512,
        "output": image.output,
        "derivation": image.derivation,
        "toplevel": image.toplevel,
        "closure": [
            {"path": one.path, "name": name, "version": version, "bytes": one.size}
            for one in image.closure
            for name, version in [one.name_and_version]
        ],
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
    }


def print_nix(result: dict[str, Any]) -> None:
    """The same for people: the path on standard output, all else on standard error."""
    click.echo(f"system digest  {result['system_digest']}", err=True)
    click.echo(f"spec digest    {result['spec_digest']}", err=True)
    click.echo(f"toplevel       {result['toplevel'] or 'unknown: the image does not say'}", err=True)
    size = f"{result['bytes'] / 2**20:.0f} MiB disk, {result['allocated_bytes'] / 1e6:.0f} MB in use"
    click.echo(f"image          by Nix, {size}, {len(result['closure'])} store paths", err=True)
    click.echo(result["image"])
