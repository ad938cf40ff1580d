"""CRC-32C (Castagnoli), as file systems and disk formats use it."""

from __future__ import annotations


def crc32c(data: memoryview | bytes) -> int:
    """The register after `data`, set to ones at the start and not inverted at the end: the kernel's crc32c(~0, ...).

    The usual checksum of RFC 3720 is the inversion of it.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def _table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        crc = index
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _table()
