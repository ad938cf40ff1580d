"""Which engine builds: what the command line says, else what the flake says (`invar.engine`), else the native one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.engines.native import NativeEngine
from invar.engines.nix import NixEngine, NixImage
from invar.flakes.attributes import find
from invar.flakes.flake import open_flake
from invar.flakes.place import flake_at
from invar.nix import Value, force

EngineName = Literal["native", "nix"]
WAY = ("invar", "engine")


@dataclass(frozen=True, slots=True)
class Engines:
    """Both engines of one user, and what the command line says of them.

    `open_nix` finds Nix when it is needed first. `option` None: the flake decides. `attribute` is one of a plain .nix
    file, which only Nix builds.
    """

    native: NativeEngine
    open_nix: Callable[[], NixEngine]
    option: EngineName | None = None
    attribute: str | None = None

    def of(self, place: str) -> EngineName:
        """The engine for a place. Raises InvarError when a flake names one that there is not."""
        if self.attribute is not None:
            if self.option == "native":
                raise InvarError("--attr names what Nix is to build", exit_code=ExitCode.USAGE)
            return "nix"
        return chosen_engine(place, self.option, self.native)

    def nix_image(self, place: str, *, remember: bool = True) -> NixImage:
        """What Nix builds of a place. Raises InvarError."""
        return self.open_nix().image(place, self.attribute, remember=remember)


def chosen_engine(place: str, option: EngineName | None, native: NativeEngine) -> EngineName:
    """The engine for a place. Raises InvarError when a flake names one that there is not."""
    if option is not None:
        return option
    known = flake_at(place.partition("#")[0])
    if known is None:
        return "native"
    flake = open_flake(known, replace(native.flakes, write=False), Report())

    def declared() -> Value:
        outputs = force(flake.value)
        there = "invar" in outputs and "engine" in force(outputs["invar"])
        return str(find(outputs, [WAY], what=flake.name).value) if there else "native"

    name = flake.explained(declared)
    if name not in ("native", "nix"):
        raise InvarError(
            f"the flake's invar.engine is {name!r}",
            where=str(flake.place.real / "flake.nix"),
            hint='it is "native" or "nix"',
        )
    return "nix" if name == "nix" else "native"
