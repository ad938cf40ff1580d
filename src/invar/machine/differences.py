"""What differs between two generations of an instance, out of the records that lie in their own, verified layers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from invar.machine import state
from invar.machine.activation import layer_view
from invar.machine.consumers import changed_files
from invar.machine.generations import Generation
from invar.machine.layer_source import image_of

_UNITS = "systemd/system/"


@dataclass(frozen=True, slots=True)
class Differences:
    """`packages` maps a Debian package to its versions before and after ("" where it is absent), `kernel` has both
    versions where the kernel is another one, `cmdline` the words of the kernel command line that only one has.

    `units` are those whose files or links below /etc differ, `files` everything below /etc that does; of these, the
    `added` are only in the second, the `removed` only in the first.
    """

    packages: dict[str, tuple[str, str]]
    kernel: tuple[str, str] | None
    initrd: bool
    cmdline: tuple[str, ...]
    units: tuple[str, ...]
    files: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def of_generations(before: Generation, after: Generation) -> Differences:
    """Mount both config layers and compare. Raises InvarError when one cannot be had."""
    with (
        layer_view(before.config, image_of(before.config)) as old,
        layer_view(after.config, image_of(after.config)) as new,
    ):
        left = state.read_record(old.etc / "invar/image.json").packages.packages
        right = state.read_record(new.etc / "invar/image.json").packages.packages
        files = changed_files(old.etc, new.etc)
        added = tuple(path for path in files if not _is_there(old.etc / path))
        removed = tuple(path for path in files if not _is_there(new.etc / path))
    packages = {
        name: (left.get(name, ""), right.get(name, ""))
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    }
    same_kernel = before.kernel_sha256 == after.kernel_sha256
    return Differences(
        packages=packages,
        kernel=None if same_kernel else (before.kernel_version, after.kernel_version),
        initrd=before.initrd_sha256 != after.initrd_sha256,
        cmdline=_words(before.cmdline, after.cmdline),
        units=units_of(files),
        files=files,
        added=added,
        removed=removed,
    )


def units_of(files: Iterable[str]) -> tuple[str, ...]:
    """The units that files below /etc belong to: their own, their drop-ins, and links that have others want them."""
    found = set()
    for path in files:
        if path.startswith(_UNITS):
            first, _, rest = path.removeprefix(_UNITS).partition("/")
            found.add(first.removesuffix(".d") if first.endswith(".d") else rest or first)
    return tuple(sorted(found))


def lines(found: Differences) -> list[str]:
    """The differences as text, one a line."""
    told = [f"package {name}: {old or 'absent'} -> {new or 'absent'}" for name, (old, new) in found.packages.items()]
    if found.kernel is not None:
        told.append("kernel {} -> {}".format(*found.kernel))
    if found.initrd:
        told.append("another initrd")
    told += [f"kernel parameter {word}" for word in found.cmdline]
    told += [f"unit {name}" for name in found.units]
    marks = dict.fromkeys(found.added, "+") | dict.fromkeys(found.removed, "-")
    return told + [f"{marks.get(path, '~')} /etc/{path}" for path in found.files]


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _words(before: str, after: str) -> tuple[str, ...]:
    layers = ("invar.config=", "invar.packages=")
    old = [word for word in before.split() if not word.startswith(layers)]
    new = [word for word in after.split() if not word.startswith(layers)]
    return (*(f"- {word}" for word in old if word not in new), *(f"+ {word}" for word in new if word not in old))
