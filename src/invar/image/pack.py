"""The program that, inside the sandbox, reads a configured root, normalises it and writes it out."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from invar.image.normalise import NOT_READ, normalise
from invar.image.tree import Tree, read_tree, write_tar

MANIFEST = "manifest.jsonl"
RESULT = "result.json"
KERNEL = "vmlinuz"
MODULES = "modules"

_SOURCES = Path(__file__).resolve().parent.parent.parent
_BOOTSTRAP = "import sys; sys.path.insert(0, {!r}); from invar.image.pack import main; main()"


@dataclass(frozen=True, slots=True)
class Packed:
    """What the program wrote beside the tar stream: the accounts, and the kernel's version if there was a kernel."""

    accounts: dict[str, str]
    kernel_version: str | None


def pack_argv(root: Path, output: Path, epoch: int, excludes: tuple[str, ...]) -> tuple[str, ...]:
    """The program's argv: it reads `root`, writes its files into the directory `output` and a tar stream to stdout."""
    settings = json.dumps({"root": str(root), "output": str(output), "epoch": epoch, "excludes": excludes})
    return (sys.executable, "-I", "-S", "-c", _BOOTSTRAP.format(str(_SOURCES)), settings)


def read_result(output: Path) -> Packed:
    """What the program wrote into `output`."""
    data = json.loads((output / RESULT).read_text(encoding="utf-8"))
    return Packed(data["accounts"], data["kernel_version"])


def main() -> None:
    """Pack. Runs in an interpreter of its own, as the sandbox's root but with the host's files in view."""
    settings = json.loads(sys.argv[1])
    output = Path(settings["output"])
    try:
        found = read_tree(settings["root"], NOT_READ)
        version = copy_kernel(found, output)
        normalised = normalise(found, settings["epoch"], settings["excludes"])
        with (
            (output / MANIFEST).open("w", encoding="utf-8", errors="surrogateescape") as manifest,
            os.fdopen(sys.stdout.fileno(), "wb", buffering=1 << 18, closefd=False) as stream,
        ):
            write_tar(normalised.tree, stream, manifest, settings["epoch"])
    except (OSError, ValueError) as error:
        sys.exit(f"the configured packages could not be packed: {error}")
    result = {"accounts": normalised.accounts, "kernel_version": version}
    (output / RESULT).write_text(json.dumps(result), encoding="utf-8")


def copy_kernel(tree: Tree, output: Path) -> str | None:
    """Copy vmlinuz and its modules out; the kernel's version. Raises ValueError when there are several."""
    versions = [path.removeprefix("boot/vmlinuz-") for path in tree if path.startswith("boot/vmlinuz-")]
    if len(versions) > 1:
        raise ValueError(f"more than one kernel: {', '.join(sorted(versions))}")
    if not versions:
        return None
    version = versions[0]
    shutil.copyfile(tree[f"boot/vmlinuz-{version}"].source, output / KERNEL)
    prefix = f"usr/lib/modules/{version}"
    for path, node in tree.items():
        if path == prefix or path.startswith(prefix + "/"):
            place = output / MODULES / path.removeprefix("usr/")
            if node.kind == "directory":
                place.mkdir(parents=True, exist_ok=True)
            elif node.kind == "file":
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(node.source, place)
    return version
