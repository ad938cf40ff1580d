"""The provider in a project's `terraform.d/plugins`: a launcher that `terraform init` finds without any registry.

Source: https://developer.hashicorp.com/terraform/cli/config/config-file, "Implied Local Mirror Directories". The
launcher has no absolute path in it, so that its hash, which `.terraform.lock.hcl` records, is one on every machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from invar import __version__
from invar.core.errors import InvarError

HOST = "invar.invalid"
"""A name that never resolves (RFC 2606): this provider comes from no registry."""

SOURCE = f"{HOST}/invar/invar"
PLATFORMS = ("linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64")
BLOCK = re.compile(r"^\s*provider_installation\b", re.M)
VARIABLE = "INVAR_COMMAND"

LAUNCHER = f"""#!/bin/sh
# Starts Invar's Terraform provider. {VARIABLE} names the invar command where it is not on the PATH.
invar=${{{VARIABLE}:-invar}}
if ! command -v "$invar" >/dev/null 2>&1; then
    echo "Invar's Terraform provider needs the command invar: no $invar on the PATH. Install it, or set {VARIABLE}."
    exit 1
fi
exec "$invar" terraform serve {__version__}
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the launchers are (one a platform), and whether anything was written."""

    launchers: tuple[Path, ...]
    changed: bool


def install(project: Path, environment: Mapping[str, str]) -> Installed:
    """Put the launcher into a Terraform project. Other versions of Invar's provider there are removed.

    Raises InvarError where there is no such directory, or Terraform's own configuration turns this way off.
    """
    if not project.is_dir():
        raise InvarError(f"there is no directory {project}", hint="name the directory with the .tf files")
    refuse_other_ways(project, environment)
    root = project / "terraform.d" / "plugins" / HOST / "invar" / "invar"
    launchers = []
    changed = False
    for platform in PLATFORMS:
        path = root / __version__ / platform / f"terraform-provider-invar_v{__version__}"
        launchers.append(path)
        if path.is_file() and path.read_text() == LAUNCHER and os.access(path, os.X_OK):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(LAUNCHER)
        temporary.chmod(0o755)
        temporary.replace(path)
        changed = True
    for other in root.iterdir():
        if other.name != __version__:
            shutil.rmtree(other)
            changed = True
    return Installed(tuple(launchers), changed)


def refuse_other_ways(project: Path, environment: Mapping[str, str]) -> None:
    """Raise InvarError when a `provider_installation` block leaves the project's own plugins out."""
    for path in _cli_configurations(environment):
        text = path.read_text(errors="replace") if path.is_file() else ""
        if BLOCK.search(text):
            if HOST in text:
                return
            raise InvarError(
                "Terraform would not look for providers in the project",
                where=str(path),
                why="it has a provider_installation block, which replaces the places that Terraform looks in by itself",
                hint="add to that block\n"
                f'filesystem_mirror {{\n  path    = "{(project / "terraform.d" / "plugins").absolute()}"\n'
                f'  include = ["{HOST}/*/*"]\n}}\ndirect {{\n  exclude = ["{HOST}/*/*"]\n}}',
            )


def check_version(wanted: str) -> None:
    """Raise InvarError when the launcher was installed by another version of Invar than the one that it has started."""
    if wanted != __version__:
        raise InvarError(
            f"the provider in this project is version {wanted}, the invar that it starts is {__version__}",
            hint="run `invar terraform install`, then `terraform init -upgrade`",
        )


def terraform_version() -> str | None:
    """The version of the terraform on the PATH; None where there is none."""
    try:
        done = subprocess.run(["terraform", "version", "-json"], capture_output=True, text=True, timeout=30)
        return str(json.loads(done.stdout)["terraform_version"])
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return None


def _cli_configurations(environment: Mapping[str, str]) -> tuple[Path, ...]:
    named = environment.get("TF_CLI_CONFIG_FILE") or environment.get("TERRAFORM_CONFIG")
    if named:
        return (Path(named),)
    home = Path(environment.get("HOME") or Path.home())
    if sys.platform == "win32":
        home = Path(environment.get("APPDATA", str(home)))
        return (home / "terraform.rc",)
    return (home / ".terraformrc", *sorted((home / ".terraform.d").glob("*.tfrc")))
