"""What differs between two generations of an instance, out of the records that lie in their own, verified layers."""

from __future__ import annotations

from dataclasses import dataclass

from invar.machine import state
from invar.machine.activation import layer_view
from invar.machine.consumers import changed_files
from invar.machine.generations import Generation
from invar.machine.layer_source import image_of


@dataclass(frozen=True, slots=True)
class Differences:
    """`packages` maps a Debian package to its versions before and after ("" where it is absent), `files` are below
    /etc, `cmdline` the words of the kernel command line that only one has."""

    packages: dict[str, tuple[str, str]]
    files: tuple[str, ...]
    cmdline: tuple[str, ...]


def of_generations(before: Generation, after: Generation) -> Differences:
    """Mount both config layers and compare. Raises InvarError when one cannot be had."""
    with (
        layer_view(before.config, image_of(before.config)) as old,
        layer_view(after.config, image_of(after.config)) as new,
    ):
        left = state.read_record(old.etc / "invar/image.json").packages.packages
        right = state.read_record(new.etc / "invar/image.json").packages.packages
        files = changed_files(old.etc, new.etc)
    packages = {
        name: (left.get(name, ""), right.get(name, ""))
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    }
    return Differences(packages, files, _words(before.cmdline, after.cmdline))


def lines(found: Differences) -> list[str]:
    """The differences as text, one a line."""
    told = [f"package {name}: {old or 'absent'} -> {new or 'absent'}" for name, (old, new) in found.packages.items()]
    told += [f"kernel parameter {word}" for word in found.cmdline]
    return told + [f"/etc/{path}" for path in found.files]


def _words(before: str, after: str) -> tuple[str, ...]:
    layers = ("invar.config=", "invar.packages=")
    old = [word for word in before.split() if not word.startswith(layers)]
    new = [word for word in after.split() if not word.startswith(layers)]
    return (*(f"- {word}" for word in old if word not in new), *(f"+ {word}" for word in new if word not in old))
