"""Reading tar streams: ustar with GNU long names and pax headers, the kinds that dpkg-deb writes.

Python's tarfile parses each header into a large object and follows every GNU and pax dialect; over a system's 30,000
files that is a large part of unpacking. This reader follows deb(5) and POSIX.1-2017 pax; sparse files, devices and
anything else unknown are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

BLOCK = 512
_TYPES: dict[bytes, EntryType] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "directory",
}

EntryType = Literal["file", "hardlink", "symlink", "directory"]


class TarError(ValueError):
    """The stream is no tar archive that this reader understands."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member. `name` and `target` are as in the archive, `mtime` in seconds, `size` in bytes (files only)."""

    name: str
    type: EntryType
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    mtime: int
    size: int
    target: str


def read_tar(read: Callable[[int], bytes], unpack: Callable[[Entry, Iterator[bytes]], None]) -> None:
    """Hand every member to `unpack`, in order, with its content in pieces.

    `read(n)` gives up to n bytes, fewer only at the end. Content that `unpack` leaves is skipped. Raises TarError.
    """
    reader = _Reader(read)
    while (entry := reader.next_entry()) is not None:
        unpack(entry, reader.content())
        reader.skip_content()


class _Reader:
    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._left = 0
        self._padding = 0

    def next_entry(self) -> Entry | None:
        long_name = long_target = None
        pax: dict[str, str] = {}
        while True:
            header = self._exactly(BLOCK)
            if not header.strip(b"\0"):
                return None
            _check(header)
            kind = header[156:157]
            size = _number(header[124:136])
            if kind in b"LKxg":
                self._begin(size)
                extra = b"".join(self.content())
                self.skip_content()
                if kind == b"L":
                    long_name = _text(extra)
                elif kind == b"K":
                    long_target = _text(extra)
                else:
                    pax.update(_pax(extra))
                continue
            return self._entry(header, kind, size, long_name, long_target, pax)

    def content(self) -> Iterator[bytes]:
        while self._left:
            piece = self._read(min(self._left, 1 << 18))
            if not piece:
                raise TarError("the archive ends within a file")
            self._left -= len(piece)
            yield piece

    def skip_content(self) -> None:
        for _ in self.content():
            pass
        if self._padding:
            self._exactly(self._padding)
            self._padding = 0

    def _entry(
        self, header: bytes, kind: bytes, size: int, name: str | None, target: str | None, pax: dict[str, str]
    ) -> Entry:
        entry_type = _TYPES.get(kind)
        if name is None:
            name = _text(header[:100])
            if header[257:263] == b"ustar\0" and header[345:346] != b"\0":
                name = f"{_text(header[345:500])}/{name}"
        if entry_type is None or any(key.startswith("GNU.sparse") for key in pax):
            raise TarError(f"member {name} is of a type that packages may not have ({kind!r})")
        size = int(pax.get("size", size))
        self._begin(size if entry_type == "file" else 0)
        return Entry(
            name=pax.get("path", name),
            type=entry_type,
            mode=_number(header[100:108]) & 0o7777,
            uid=int(pax.get("uid", _number(header[108:116]))),
            gid=int(pax.get("gid", _number(header[116:124]))),
            user=pax.get("uname", _text(header[265:297])),
            group=pax.get("gname", _text(header[297:329])),
            mtime=int(float(pax["mtime"])) if "mtime" in pax else _number(header[136:148]),
            size=size,
            target=pax.get("linkpath", _text(header[157:257]) if target is None else target),
        )

    def _begin(self, size: int) -> None:
        self._left = size
        self._padding = -size % BLOCK

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        while len(data) < size:
            more = self._read(size - len(data))
            if not more:
                raise TarError("the archive ends too early")
            data += more
        return data


def _check(header: bytes) -> None:
    total = sum(header) - sum(header[148:156]) + 8 * 32
    if total != _number(header[148:156]):
        raise TarError("the checksum of a header is wrong")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise TarError(f"not a number: {field!r}") from None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _pax(data: bytes) -> dict[str, str]:
    """Records of the form "LENGTH KEY=VALUE\\n"."""
    records = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            raise TarError("a pax header is malformed")
        record, data = data[len(length) + 1 : int(length) - 1], data[int(length) :]
        key, _, value = record.partition(b"=")
        records[key.decode()] = value.decode("utf-8", "surrogateescape")
    return records
