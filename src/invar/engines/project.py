"""Where a configuration lives (a directory, a .nix file, or an output of a flake), and where its lock is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.core.home import Home

if TYPE_CHECKING:
    from invar.flakes.settings import Settings
    from invar.flakes.target import Target


@dataclass(frozen=True, slots=True)
class Project:
    """One configuration. All paths are absolute; the lock may not exist yet.

    `configuration` is its file, for a flake flake.nix. `target` is what of the flake is meant, None for a plain file.
    """

    directory: Path
    configuration: Path
    lock: Path
    target: Target | None = None

    @classmethod
    def at(cls, place: Path | str, settings: Settings | None = None, report: Report | None = None) -> Project:
        """The project at a directory, a .nix file, or a flake's output ("DIR#NAME", "github:OWNER/REPO#NAME").

        `settings` say how a flake is read. Raises InvarError when there is none.
        """
        reference, hash_, fragment = str(place).partition("#")
        from invar.flakes.place import flake_at  # reads files only

        flake = flake_at(reference)
        if flake is not None:
            from invar.flakes.flake import open_flake
            from invar.flakes.settings import Settings
            from invar.flakes.target import open_target

            used = settings or Settings(cache_dir=Home.from_environment().code)
            target = open_target(open_flake(flake, used, report or Report()), fragment)
            directory = target.flake.place.real
            return cls(directory, directory / "flake.nix", target.lock, target)
        if hash_:
            raise InvarError(
                f"{reference or '.'} is no flake",
                why="it has no flake.nix, so that nothing can be named behind #",
                hint=f"name the configuration itself: {reference or '.'}",
                exit_code=ExitCode.USAGE,
            )
        return cls._plain(Path(place))

    @classmethod
    def _plain(cls, place: Path) -> Project:
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

    @property
    def seed(self) -> Path | None:
        """A lock whose versions a new one keeps: that of a flake before it had several configurations."""
        return self.target.seed if self.target is not None else None

    def check_writable(self) -> None:
        """Raise InvarError where no lock can be written: in a flake that is no directory of the user's."""
        if self.target is not None and not self.target.flake.editable:
            raise InvarError(
                f"{self.target.flake.name} has no {self.lock.name}",
                why="its packages cannot be locked from here: the flake is not a directory of yours",
                hint="clone it, run `invar lock` there, and commit the lock",
            )

    @property
    def format(self) -> str | None:
        """The format that a flake's output has by itself."""
        return self.target.format if self.target is not None else None
