"""A configuration among a flake's outputs: found by the word behind `#`, named, and evaluated to its System."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.flakes.attributes import Attributes, Found, find, search_order, show
from invar.flakes.flake import Flake, open_flake
from invar.flakes.provided import library_prefix
from invar.nix import NixError, Thunk, Value, delay, force
from invar.nixos.configuration import Configuration, enforce
from invar.nixos.names import Universe
from invar.system.evaluate import Evaluation, evaluation_of

SYSTEM = "x86_64-linux"
NOT_AN_IMAGE = (
    "it takes configurations and images of them: nixosConfigurations.NAME, packages.SYSTEM.NAME made by nixosGenerate"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A configuration of an opened flake. `format` None: the output is a system, not an image.

    `lock` is its invar.lock: beside flake.nix, with the configuration's name in it when the flake has several. Then
    `seed` is the lock that there was before, whose versions a new one keeps.
    """

    flake: Flake
    fragment: str
    path: Attributes
    name: str
    format: str | None
    lock: Path
    seed: Path | None

    def evaluate(self, universe: Universe, report: Report) -> Evaluation:
        """The System under a lock. Raises InvarError."""
        with report.stage("evaluate"):
            target = self._bound(universe, report)
            found = target.flake.explained(lambda: evaluation_of(target._checked(report)))
            origins = {name: target.flake.readable(place) for name, place in found.system.origins.items()}
            return replace(found, system=replace(found.system, origins=origins))

    def value(self, universe: Universe, report: Report, show_value: Callable[[Configuration], str]) -> str:
        """What `show_value` makes of the configuration, as text. Raises InvarError."""
        with report.stage("evaluate"):
            target = self._bound(universe, report)
            return target.flake.explained(lambda: show_value(target._checked(report)))

    def _bound(self, universe: Universe, report: Report) -> Target:
        """This target with the universe: evaluated anew if another one's answers are part of what was evaluated."""
        target = self
        if not self.flake.universe.bind(universe):
            target = open_target(open_flake(self.flake.reference, self.flake.settings, report), self.fragment)
            target.flake.universe.bind(universe)
        return target

    def _checked(self, report: Report) -> Configuration:
        flake = self.flake
        found = find(flake.value, [self.path], what=flake.name)
        part = configuration_part(found.value)
        assert part is not None
        configuration = Configuration(
            part.config,
            flake.objects,
            flake.evaluator,
            flake.place.real / "flake.nix",
            flake.place.store_path,
            library_prefix(),
        )
        enforce(configuration, report.warn)
        return configuration


def flake_value(
    flake: Flake, order: list[Attributes], universe_at: Callable[[Path], Universe], show_value: Callable[[Value], str]
) -> str:
    """What `show_value` makes of the first attribute of an order of search, as text. Raises InvarError.

    What belongs to a configuration is seen with the packages of its lock: `universe_at` reads that.
    """

    def work() -> str:
        for path in order:
            lock = _lock_on_the_way(flake, path)
            if lock is not None and lock.exists():
                flake.universe.bind(universe_at(lock))
                break
        return show_value(find(flake.value, order, what=flake.name).value)

    return flake.explained(work)


@dataclass(frozen=True, slots=True)
class Part:
    """What a configuration's or an image's value holds. `base` tells one configuration from another, by identity."""

    config: Value
    format: str | None
    base: Value


def configuration_part(value: Value) -> Part | None:
    """The configuration that a value is or is an image of; None for any other value."""
    if not isinstance(value, dict):
        return None
    if "invar" in value and "type" in value:
        known = force(value["invar"])
        if isinstance(known, dict) and "config" in known and "format" in known:
            form = force(known["format"])
            return Part(known["config"], None if form is None else str(form), known["base"])
    if "_type" in value and force(value["_type"]) == "configuration" and "config" in value:
        return Part(value["config"], None, delay(lambda: force(force(value["config"])["system"])))
    return None


def open_target(flake: Flake, fragment: str) -> Target:
    """The configuration that a fragment names. Raises InvarError when there is none, or what is there is none."""
    return flake.explained(lambda: _target(flake, fragment))


def images(flake: Value, system: str) -> Iterator[tuple[str, Part]]:
    """The names of packages for a system that are images, with what they are. What fails to evaluate is left out."""
    packages = _set_at(flake, "packages", system)
    for name in packages:
        try:
            part = configuration_part(force(packages[name]))
        except (NixError, InvarError):
            continue
        if part is not None:
            yield str(name), part


def _target(flake: Flake, fragment: str) -> Target:
    found = _found(flake, fragment)
    part = configuration_part(found.value)
    if part is None:
        kind = "a derivation" if isinstance(found.value, dict) and "type" in found.value else "no configuration"
        raise InvarError(
            f"'{show(found.path)}' of {flake.name} is {kind} that the native engine does not know",
            why=NOT_AN_IMAGE,
            hint="`--engine nix` builds any derivation with your own Nix",
            exit_code=ExitCode.USAGE,
        )
    name, lock, seed = _lock(flake, found, part)
    return Target(flake, fragment, found.path, name, part.format, lock, seed)


def _lock(flake: Flake, found: Found, part: Part) -> tuple[str, Path, Path | None]:
    """The configuration's name, its lock, and the lock whose versions a new one keeps."""
    name, several = _name(flake, found, part)
    directory = flake.place.real
    plain = directory / "invar.lock"
    if not several:
        return name, plain, None
    own = directory / f"invar-{name}.lock"
    return name, own, None if own.exists() else plain


def _lock_on_the_way(flake: Flake, path: Attributes) -> Path | None:
    """The lock of the configuration that an attribute lies in."""
    value = force(flake.value)
    for index, step in enumerate(path):
        if not isinstance(value, dict) or step not in value:
            return None
        value = force(value[step])
        part = configuration_part(value)
        if part is not None:
            return _lock(flake, Found(path[: index + 1], value), part)[1]
    return None


def _found(flake: Flake, fragment: str) -> Found:
    order = search_order(fragment, SYSTEM)
    if fragment:
        return find(flake.value, order, what=flake.name)
    try:
        return find(flake.value, order, what=flake.name)
    except InvarError as error:
        choices = [
            *(("packages", SYSTEM, name) for name, _ in images(force(flake.value), SYSTEM)),
            *(("nixosConfigurations", str(name)) for name in _set_at(force(flake.value), "nixosConfigurations")),
        ]
        if not choices:
            packages = _set_at(force(flake.value), "packages", SYSTEM)
            for name in packages:
                configuration_part(force(packages[name]))  # one that fails is why there is none
        if len(choices) == 1:
            return find(flake.value, choices, what=flake.name)
        listed = ", ".join(f".#{show(path[2:] if path[0] == 'packages' else path)}" for path in choices)
        raise InvarError(
            error.what, hint=f"name one of {listed}" if choices else error.hint, exit_code=ExitCode.USAGE
        ) from None


def _name(flake: Flake, found: Found, part: Part) -> tuple[str, bool]:
    """The configuration's name, and whether the flake has others."""
    value = force(flake.value)
    configurations = _set_at(value, "nixosConfigurations")
    names = [str(name) for name in configurations]
    if found.path[0] == "nixosConfigurations" and len(found.path) > 1:
        return found.path[1], len(names) > 1
    for name in names:
        if _same(configurations[name], part):
            return name, len(names) > 1
    name = "-".join(found.path[2:] if found.path[0] in ("packages", "legacyPackages") else found.path)
    system = found.path[1] if found.path[0] in ("packages", "legacyPackages") else SYSTEM
    others = bool(names) or system != SYSTEM or any(other != name for other, _ in images(value, SYSTEM))
    return (name if system == SYSTEM else f"{name}-{system}"), others


def _same(configuration: Value, part: Part) -> bool:
    """Whether an image is of this configuration. One that nothing has evaluated yet is not."""
    known = _evaluated(configuration)
    config = _evaluated(known.get("config")) if isinstance(known, dict) else None
    if not isinstance(config, dict):
        return False
    own = _evaluated(config.get("system"))
    return own is not None and own is force(part.base)


def _evaluated(value: Value) -> Any:
    if isinstance(value, Thunk):
        return value.data if value.code is None else None
    return value


def _set_at(flake: Value, *path: str) -> dict[Any, Value]:
    value = flake
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return {}
        value = force(value[name])
    return value if isinstance(value, dict) else {}
