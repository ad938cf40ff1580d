"""Compile Nix sources ahead, into the directory that comes along with this package.

    python3 -m invar.nix.precompile DIRECTORY SOURCES...

Run by the very Python that is to use it: compiled code is that Python's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from invar.nix.cache import REVISION, CodeCache, running_python
from invar.nix.evaluator import Evaluator
from invar.nix.stack import with_big_stack


def precompile(sources: Iterable[Path], directory: Path) -> None:
    """Compile .nix files, or all below directories, into `directory`. The same sources in the same order give the same
    bytes. Raises NixError for a source that is not Nix."""
    evaluator = Evaluator(cache_dir=directory)
    for source in sources:
        for path in sorted(source.rglob("*.nix")) if source.is_dir() else [source]:
            evaluator.compile_file(str(path))
    revision = CodeCache(directory).revision
    for known in directory.glob(f"{REVISION}-*"):
        known.unlink()
    (directory / REVISION).write_text(f"{running_python()}\n{revision.hex()}\n", encoding="ascii")


if __name__ == "__main__":
    with_big_stack(precompile, [Path(source) for source in sys.argv[2:]], Path(sys.argv[1]))
