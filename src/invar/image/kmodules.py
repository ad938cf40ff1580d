"""Kernel modules for the initrd: which files, in which order, by depmod's modules.dep and modules.builtin."""

from __future__ import annotations

import difflib
import lzma
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from invar.core.errors import InvarError


@dataclass(frozen=True, slots=True)
class ModuleTree:
    """What lib/modules/VERSION holds. `files` and `needs` are by module name, with "_" for "-"."""

    root: Path
    files: dict[str, str]
    needs: dict[str, tuple[str, ...]]
    builtin: frozenset[str]

    @classmethod
    def read(cls, root: Path) -> ModuleTree:
        """Read depmod's files in `root`. Raises InvarError when they are not there."""
        try:
            dependencies = (root / "modules.dep").read_text()
            builtin = (root / "modules.builtin").read_text()
        except FileNotFoundError as error:
            raise InvarError("the kernel package has no list of its modules", where=str(error.filename)) from error
        files, needs = {}, {}
        for line in dependencies.splitlines():
            file, _, others = line.partition(":")
            files[_name(file)] = file
            needs[_name(file)] = tuple(_name(other) for other in others.split())
        return cls(root, files, needs, frozenset(_name(line) for line in builtin.split()))

    def load_order(self, wanted: Iterable[str], optional: Iterable[str] = ()) -> list[str]:
        """Files (relative to `root`) so that what a module needs comes before it; what is built in needs no file.

        `optional` ones may be missing from the kernel. Raises InvarError with the nearest names for others.
        """
        ordered: dict[str, None] = {}
        for name in [*wanted, *optional]:
            key = name.replace("-", "_")
            if key in self.files:
                for module in (*reversed(self.needs[key]), key):
                    ordered.setdefault(self.files[module])
            elif key not in self.builtin and name not in optional:
                near = difflib.get_close_matches(key, [*self.files, *self.builtin], 3)
                raise InvarError(
                    f"the kernel has no module {name}",
                    where="boot.initrd.kernelModules",
                    hint=f"perhaps {', '.join(near)}" if near else None,
                )
        return list(ordered)

    def read_module(self, file: str) -> bytes:
        """The uncompressed module. Raises InvarError for a compression that this does not know."""
        content = (self.root / file).read_bytes()
        match PurePosixPath(file).suffix:
            case ".ko":
                return content
            case ".xz":
                return lzma.decompress(content)
            case ".gz":
                return zlib.decompress(content, wbits=31)
        raise InvarError(f"the module {file} is compressed in a way that is not known here", where=str(self.root))


def _name(file: str) -> str:
    return PurePosixPath(file).name.partition(".")[0].replace("-", "_")
