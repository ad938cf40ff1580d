"""The kernel command line that the initrd reads, and the system digest on it (docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Sequence

from invar.core.canonical import digest
from invar.core.errors import InvarError
from invar.image.layer import Layer

LIMIT = 2047
"""Bytes that an x86 kernel takes (COMMAND_LINE_SIZE less the final NUL)."""

RESERVED = "invar."


def command_line(params: Sequence[str], packages: Layer, config: Layer) -> str:
    """The command line without the digest: the layers first, then the configuration's parameters in their order.

    Raises InvarError for a parameter that is Invar's own, is not printable ASCII, or makes the line too long.
    """
    for param in params:
        if param.startswith(RESERVED):
            raise InvarError(
                f"the kernel parameter {param.partition('=')[0]} is Invar's own",
                where="boot.kernelParams",
                hint=f"parameters that start with {RESERVED!r} are set by the build; use another name",
            )
        if not param.isascii() or not param.isprintable() or not param:
            raise InvarError(
                f"the kernel parameter {param!r} is not printable ASCII",
                where="boot.kernelParams",
                why="the kernel's command line has no other characters",
            )
    line = " ".join([_layer_parameter(packages), _layer_parameter(config), *params])
    length = len(with_digest(line, "0" * 64))
    if length > LIMIT:
        raise InvarError(
            f"the kernel command line is {length} bytes long",
            where="boot.kernelParams",
            why=f"the kernel takes {LIMIT}, of which Invar needs {length - len(' '.join(params))}",
            hint="shorten boot.kernelParams; module options may go into boot.extraModprobeConfig instead",
        )
    return line


def with_digest(line: str, system_digest: str) -> str:
    """The whole command line, as /proc/cmdline of the machine shows it."""
    return f"invar.digest={system_digest} {line}"


def system_digest(line: str, *, packages: Layer, config: Layer, kernel_sha256: str, initrd_sha256: str) -> str:
    """The identity of what boots; `line` is the command line without the digest."""
    return system_digest_of(
        line,
        packages=packages.root_hash,
        config=config.root_hash,
        kernel_sha256=kernel_sha256,
        initrd_sha256=initrd_sha256,
    )


def system_digest_of(line: str, *, packages: str, config: str, kernel_sha256: str, initrd_sha256: str) -> str:
    """As `system_digest`, from the layers' root hashes."""
    return digest(
        {
            "cmdline": line,
            "config": config,
            "initrd": initrd_sha256,
            "kernel": kernel_sha256,
            "packages": packages,
        }
    )


def _layer_parameter(layer: Layer) -> str:
    return f"invar.{layer.kind}={layer.root_hash}:{layer.salt}:{layer.data_blocks}"
