"""Nix's base-32 and the arithmetic of store paths: text, fixed-output, source and derivation outputs.

After "store path" in the Nix manual's protocol documentation: the digest is SHA-256 of a fingerprint
`type:sha256:inner:storeDir:name`, folded to 160 bits and written in base-32.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from invar.nix.store_objects import STORE_DIR

ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_VALUES = {char: value for value, char in enumerate(ALPHABET)}
_NAME = re.compile(r"[0-9a-zA-Z+\-._?=]{1,211}")


def encode_base32(data: bytes) -> str:
    """Bytes in Nix's base-32: least significant digit last, no padding."""
    length = (len(data) * 8 - 1) // 5 + 1
    number = int.from_bytes(data, "little")
    return "".join(ALPHABET[(number >> (5 * index)) & 31] for index in range(length - 1, -1, -1))


def decode_base32(text: str) -> bytes:
    """The inverse. Raises ValueError for a character or a number of bits that cannot be."""
    number = 0
    for char in text:
        if char not in _VALUES:
            raise ValueError(f"'{char}' is not a base-32 digit of Nix")
        number = number << 5 | _VALUES[char]
    size = len(text) * 5 // 8
    if number >> (8 * size):
        raise ValueError("base-32 text has too many bits")
    return number.to_bytes(size, "little")


def compress(digest: bytes, size: int) -> bytes:
    """A digest folded by exclusive or to `size` bytes."""
    folded = bytearray(size)
    for index, byte in enumerate(digest):
        folded[index % size] ^= byte
    return bytes(folded)


def check_name(name: str) -> None:
    """Raise ValueError unless `name` may stand behind the hash of a store path."""
    if not name:
        raise ValueError("store path name is empty")
    if name.startswith(".") or not _NAME.fullmatch(name):
        raise ValueError(f"store path '{name}' contains illegal characters")


def make_store_path(kind: str, inner: bytes, name: str, store_dir: str = STORE_DIR) -> str:
    """The path of an object: `kind` is "text:REF:...", "source:...", "output:NAME"; `inner` a SHA-256 digest."""
    check_name(name)
    fingerprint = f"{kind}:sha256:{inner.hex()}:{store_dir}:{name}"
    digest = compress(hashlib.sha256(fingerprint.encode()).digest(), 20)
    return f"{store_dir}/{encode_base32(digest)}-{name}"


def text_path(name: str, content: bytes, references: Iterable[str] = (), store_dir: str = STORE_DIR) -> str:
    """The path of a text object such as `builtins.toFile` makes."""
    kind = ":".join(["text", *sorted(references)])
    return make_store_path(kind, hashlib.sha256(content).digest(), name, store_dir)


def source_path(name: str, nar_sha256: bytes, references: Iterable[str] = (), store_dir: str = STORE_DIR) -> str:
    """The path of a file tree added by its NAR hash."""
    return make_store_path(":".join(["source", *sorted(references)]), nar_sha256, name, store_dir)


def fixed_output_path(name: str, algorithm: str, digest: bytes, *, recursive: bool, store_dir: str = STORE_DIR) -> str:
    """The path of content whose hash is known beforehand; `recursive` hashes the NAR, else the one file."""
    if algorithm == "sha256" and recursive:
        return source_path(name, digest, (), store_dir)
    method = "r:" if recursive else ""
    inner = hashlib.sha256(f"fixed:out:{method}{algorithm}:{digest.hex()}:".encode()).digest()
    return make_store_path("output:out", inner, name, store_dir)


def output_path(output: str, derivation_sha256: bytes, name: str, store_dir: str = STORE_DIR) -> str:
    """The path of a derivation's output, from the hash of the derivation modulo its fixed-output inputs."""
    return make_store_path(f"output:{output}", derivation_sha256, output_name(name, output), store_dir)


def output_name(name: str, output: str) -> str:
    """`name` for the output "out", `name-dev` for "dev"."""
    return name if output == "out" else f"{name}-{output}"


def placeholder(output: str) -> str:
    """What stands for an output's own path inside of its derivation."""
    return "/" + encode_base32(hashlib.sha256(f"nix-output:{output}".encode()).digest())
