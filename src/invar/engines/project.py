"""Where a configuration lives: a directory with a configuration.nix, or a .nix file, and the lock beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import ExitCode, InvarError


@dataclass(frozen=True, slots=True)
class Project:
    """One configuration. All paths are absolute; the lock may not exist yet."""

    directory: Path
    configuration: Path
    lock: Path

    @classmethod
    def at(cls, place: Path) -> Project:
        """The project at a directory or a .nix file. Raises InvarError when there is none."""
        path = place.expanduser().absolute()
        configuration = path / "configuration.nix" if path.is_dir() else path
        if not configuration.is_file():
            if path.is_dir():
                inside = sorted(entry.name for entry in path.glob("*.nix"))
                hint = f"it has {', '.join(inside)}: name one of them" if inside else "name a directory that has one"
                raise InvarError(f"{place} has no configuration.nix", hint=hint, exit_code=ExitCode.USAGE)
            raise InvarError(
                f"there is no configuration at {place}",
                hint="name a directory with a configuration.nix, or a .nix file",
                exit_code=ExitCode.USAGE,
            )
        configuration = configuration.resolve()
        stem = "invar" if configuration.name == "configuration.nix" else configuration.stem
        return cls(configuration.parent, configuration, configuration.parent / f"{stem}.lock")
