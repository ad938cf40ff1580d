"""From the word behind `#` to an attribute of a flake, in Nix's order of search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from invar.core.errors import ExitCode, InvarError
from invar.nix import Value, force
from invar.nixos.configuration import split_attribute_path

Attributes = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """An attribute that there is: the whole way to it, and its value, evaluated."""

    path: Attributes
    value: Value


def search_order(fragment: str, system: str) -> list[Attributes]:
    """Where Nix looks for a fragment: `packages`, `legacyPackages`, then the flake itself; without one, the default.

    ".a.b" is a way from the flake itself only. Last comes `nixosConfigurations`, which Nix would not look in.
    """
    if not fragment:
        return [("packages", system, "default"), ("defaultPackage", system)]
    if fragment.startswith("."):
        return [tuple(split_attribute_path(fragment[1:]))]
    steps = tuple(split_attribute_path(fragment))
    return [
        ("packages", system, *steps),
        ("legacyPackages", system, *steps),
        steps,
        ("nixosConfigurations", *steps),
    ]


def find(flake: Value, order: Sequence[Attributes], *, what: str) -> Found:
    """The first attribute of the order that there is. `what` names the flake. Raises InvarError with what is near."""
    near: list[str] = []
    for path in order:
        found, neighbours = _walk(flake, path)
        if found is not None:
            return found
        near += [one for one in neighbours if one not in near]
    names = [f"'{show(path)}'" for path in order]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    raise InvarError(
        f"{what} has no attribute {listed}",
        hint=f"did you mean {' or '.join(near[:3])}?" if near else "`invar flake show` lists what it has",
        exit_code=ExitCode.USAGE,
    )


def show(path: Attributes) -> str:
    """An attribute path in Nix's syntax."""
    return ".".join(f'"{part}"' if "." in part or not part else part for part in path)


def _walk(flake: Value, path: Attributes) -> tuple[Found | None, list[str]]:
    value = force(flake)
    for index, name in enumerate(path):
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = force(value[int(name)])
            continue
        if not isinstance(value, dict) or name not in value:
            known = [str(one) for one in value] if isinstance(value, dict) and len(value) < 2000 else []
            return None, [show((*path[:index], one)) for one in get_close_matches(name, known, 3, 0.6)]
        value = force(value[name])
    return Found(path, value), []
