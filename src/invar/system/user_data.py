"""What EC2 user data may hold, checked where it is sent and read where it arrives."""

from __future__ import annotations

from invar.core.errors import InvarError

LIMIT = 16 * 1024
"""Bytes that EC2 takes, before base64 (EC2 user guide, "Run commands on your EC2 instance at launch")."""


def check_size(data: bytes, *, where: str | None = None) -> None:
    """Raises InvarError when EC2 would not take `data`; `where` is the file or attribute that it came from."""
    if len(data) > LIMIT:
        raise InvarError(
            f"user data has {len(data)} bytes, and EC2 takes {LIMIT} at most",
            where=where,
            hint="bake what is common into the image and pass only parameters, or a pointer to a published generation; "
            "gzip, xz and zstd are understood too",
        )
