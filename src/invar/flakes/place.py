"""Whether what a user names is a flake, and which: a directory with a flake.nix (also above), or a URL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from invar.core.errors import ExitCode, InvarError
from invar.nix import NixError
from invar.nix.input_urls import parse_input_url

FLAKE = "flake.nix"
_SCHEME = re.compile(r"(path|flake|github|gitlab|sourcehut|git|git\+[a-z]+|tarball\+[a-z]+|https?|file):")
_COLLAPSED = re.compile(r"^([a-z+]+:)/(?!/)")


def flake_at(text: str) -> dict[str, Any] | None:
    """The reference of the flake that is named, as attributes of `fetchTree`; None when it is no flake but a place.

    Raises InvarError for a URL that is none.
    """
    if is_url(text):
        return _of_url(text)
    directory = flake_directory(Path(text or "."))
    return local_reference(directory) if directory is not None else None


def is_url(text: str) -> bool:
    """Whether a reference is a URL and not a place on this machine."""
    return _SCHEME.match(text) is not None


def flake_directory(place: Path) -> Path | None:
    """The flake that a directory belongs to: itself, or the nearest above it, within its repository."""
    directory = place.expanduser().absolute()
    if directory.name == FLAKE and directory.is_file():
        return directory.parent
    if (directory / FLAKE).is_file():
        return directory
    if (directory / "configuration.nix").is_file() or not directory.is_dir():
        return None
    root = git_root(directory)
    if root is None:
        return None
    for above in directory.parents:
        if (above / FLAKE).is_file():
            return above
        if above == root:
            return None
    return None


def local_reference(directory: Path) -> dict[str, Any]:
    """How Nix takes a directory: as a git work tree if it is in one, else as a path."""
    resolved = directory.resolve()
    root = git_root(resolved)
    if root is None:
        return {"type": "path", "path": str(resolved)}
    inside = str(resolved.relative_to(root))
    return {"type": "git", "url": f"file://{root}", **({} if inside == "." else {"dir": inside})}


def git_root(directory: Path) -> Path | None:
    """The git work tree that a directory lies in."""
    for place in (directory, *directory.parents):
        if (place / ".git").exists():
            return place
    return None


def _of_url(text: str) -> dict[str, Any]:
    """A URL; one that went through a file name ("https:/host") gets its slash back."""
    if not text.startswith(("path:", "flake:", "github:", "gitlab:", "sourcehut:")):
        text = _COLLAPSED.sub(lambda found: f"{found[1]}///" if "file" in found[1] else f"{found[1]}//", text)
    try:
        reference = dict(parse_input_url(text))
    except NixError as error:
        raise InvarError(
            f"{text} is no flake reference", why=str(error), hint=error.hint, exit_code=ExitCode.USAGE
        ) from None
    if reference["type"] == "path" and not str(reference["path"]).startswith("/"):
        reference["path"] = str(Path(str(reference["path"])).absolute())
    return reference
