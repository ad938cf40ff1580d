"""What a build cache says of a system: a manifest from which its digest is made anew, and where its parts lie.

A cache is a directory that anything serves: `systems/DIGEST.json`, `layers/ROOTHASH`, `kernels/SHA256`,
`initrds/SHA256`, `configurations/DIGEST`. Every name but the last kind's proves what is behind it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.image.cmdline import LIMIT, system_digest_of, with_digest
from invar.image.layer import BLOCK
from invar.image.verity import tree_blocks

SCHEMA = 1
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class PublishedLayer:
    """A layer by its verity parameters: hex root hash and salt, blocks of 4 KiB of data."""

    root_hash: str
    salt: str
    data_blocks: int

    @property
    def bytes(self) -> int:
        """Size of its file: data and hash tree."""
        return (self.data_blocks + tree_blocks(self.data_blocks)) * BLOCK

    @property
    def path(self) -> str:
        """Where it lies in a cache."""
        return f"layers/{self.root_hash}"


@dataclass(frozen=True, slots=True)
class BootFile:
    """A kernel or an initrd by its SHA-256 (hex), and its size."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Publication:
    """A system as a cache has it. `cmdline` is the kernel command line without the digest: it names both layers."""

    cmdline: str
    packages: PublishedLayer
    config: PublishedLayer
    kernel: BootFile
    initrd: BootFile

    @property
    def digest(self) -> str:
        """The system digest, made of the parts."""
        return system_digest_of(
            self.cmdline,
            packages=self.packages.root_hash,
            config=self.config.root_hash,
            kernel_sha256=self.kernel.sha256,
            initrd_sha256=self.initrd.sha256,
        )

    @property
    def path(self) -> str:
        """Where the manifest lies in a cache."""
        return system_path(self.digest)

    def to_json(self) -> bytes:
        """The manifest. The layers are not in it twice: the command line has them."""
        return canonical_json(
            {
                "schema": SCHEMA,
                "cmdline": self.cmdline,
                "kernel": {"sha256": self.kernel.sha256, "bytes": self.kernel.bytes},
                "initrd": {"sha256": self.initrd.sha256, "bytes": self.initrd.bytes},
            }
        )


def system_path(digest: str) -> str:
    """Where the manifest of a system digest lies in a cache."""
    return f"systems/{digest}.json"


def configuration_path(configuration_digest: str) -> str:
    """Where a cache says which system a configuration was last built to."""
    return f"configurations/{configuration_digest}"


def configuration_document(configuration_digest: str, system_digest: str) -> bytes:
    """What a cache says there: one line, which a signature may follow (system/user_data.py, `with_signature`)."""
    return f"invar-configuration {configuration_digest} {system_digest}\n".encode()


def read_configuration_document(text: bytes, configuration_digest: str) -> str | None:
    """The system digest in such a line (without signature); None when it is none, or that of another configuration."""
    words = text.decode("ascii", "replace").split(" ")
    if len(words) != 3 or words[:2] != ["invar-configuration", configuration_digest]:
        return None
    digest = words[2].removesuffix("\n")
    return digest if is_digest(digest) else None


def kernel_path(file: BootFile) -> str:
    """Where a kernel lies in a cache."""
    return f"kernels/{file.sha256}"


def initrd_path(file: BootFile) -> str:
    """Where an initrd lies in a cache."""
    return f"initrds/{file.sha256}"


def published(cmdline: str, kernel: BootFile, initrd: BootFile) -> Publication:
    """The publication of a command line (without the digest). Raises ValueError when it does not name both layers."""
    if not cmdline.isascii() or not cmdline.isprintable() or len(with_digest(cmdline, "0" * 64)) > LIMIT:
        raise ValueError("the command line is not what a kernel takes")
    layers = {}
    for word in cmdline.split(" "):
        name, _, value = word.partition("=")
        if name in ("invar.packages", "invar.config") and name not in layers:
            layers[name] = _layer(value)
        elif name.startswith("invar."):
            raise ValueError(f"the command line has {name}, which is not for it to set")
    if len(layers) != 2:
        raise ValueError("the command line does not name both layers")
    return Publication(cmdline, layers["invar.packages"], layers["invar.config"], kernel, initrd)


def read_publication(text: bytes, digest: str, where: str) -> Publication:
    """The manifest of the system with this digest. Raises InvarError, with `where`, unless it is exactly that."""
    try:
        data = json.loads(text)
        if data["schema"] != SCHEMA:
            raise ValueError(f"it has schema {data['schema']}, this Invar reads {SCHEMA}")
        found = published(str(data["cmdline"]), _boot_file(data["kernel"]), _boot_file(data["initrd"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvarError(
            "this is no manifest of a published system", where=where, why=f"{type(error).__name__}: {error}"
        ) from error
    if found.digest != digest:
        raise InvarError(
            f"the manifest is not that of system {digest[:12]}", where=where, why=f"its parts give {found.digest}"
        )
    return found


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256 in lower-case hex."""
    return len(text) == 64 and _HEX.issuperset(text)


def _layer(value: str) -> PublishedLayer:
    root_hash, salt, blocks = value.split(":")
    if not is_digest(root_hash) or not _HEX.issuperset(salt) or len(salt) % 2 or len(salt) > 512 or int(blocks) < 1:
        raise ValueError(f"{value!r} are no verity parameters")
    return PublishedLayer(root_hash, salt, int(blocks))


def _boot_file(data: Any) -> BootFile:
    file = BootFile(str(data["sha256"]), int(data["bytes"]))
    if not is_digest(file.sha256) or not 0 < file.bytes < 1 << 30:
        raise ValueError("a kernel or initrd has no proper hash or size")
    return file
