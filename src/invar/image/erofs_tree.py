"""What is in an EROFS image, without its files' contents: names, modes, owners, links, capabilities.

Directories and symbolic links are never compressed, so that this needs no decompressor; see erofs.py for the format's
documents.
"""

from __future__ import annotations

import mmap
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.erofs import (
    BLOCK,
    DIRENT,
    INODE_COMPACT,
    INODE_EXTENDED,
    INODE_FLAT_INLINE,
    INODE_FLAT_PLAIN,
    SLOT,
    SUPER_MAGIC,
    SUPER_OFFSET,
)
from invar.image.tree import CAPABILITY, Node, Tree

ROOT_NID_AT = SUPER_OFFSET + 14
AREAS_AT = SUPER_OFFSET + 40
XATTR_HEADER = 12
XATTR_ENTRY = struct.Struct("<BBH")
XATTR_PREFIXES = {6: "security."}


@dataclass(frozen=True, slots=True)
class Contents:
    """The entries by path, and the paths that hide what the layers below have there. Files' content is not set."""

    tree: Tree
    whiteouts: frozenset[str]


def read_erofs(image: Path) -> Contents:
    """The entries of an image. Names of one inode have the same `inode`. Raises InvarError when it is no EROFS."""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader = _Reader(data, image)
        tree: Tree = {}
        whiteouts = set()
        pending = [("", reader.root)]
        while pending:
            path, nid = pending.pop()
            inode = reader.inode(nid)
            node = reader.node(inode)
            if node is None:
                whiteouts.add(path)
                continue
            tree[path] = node
            if node.kind == "directory":
                prefix = f"{path}/" if path else ""
                pending.extend((prefix + name, child) for name, child in reader.entries(inode))
    return Contents(tree, frozenset(whiteouts))


@dataclass(frozen=True, slots=True)
class _Inode:
    nid: int
    layout: int
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    address: int
    xattrs_at: int
    xattrs_size: int

    @property
    def tail_at(self) -> int:
        return self.xattrs_at + self.xattrs_size


class _Reader:
    def __init__(self, data: mmap.mmap, image: Path) -> None:
        if len(data) < BLOCK or struct.unpack_from("<I", data, SUPER_OFFSET) != (SUPER_MAGIC,):
            raise InvarError("this is no EROFS image", where=str(image))
        self._data = data
        (self.root,) = struct.unpack_from("<H", data, ROOT_NID_AT)
        self._metadata, self._shared = (block * BLOCK for block in struct.unpack_from("<II", data, AREAS_AT))

    def inode(self, nid: int) -> _Inode:
        at = self._metadata + nid * SLOT
        (form,) = struct.unpack_from("<H", self._data, at)
        if form & 1:
            _, xattrs, mode, _, size, address, _, uid, gid, _, _, links = INODE_EXTENDED.unpack_from(self._data, at)
            end = at + INODE_EXTENDED.size
        else:
            _, xattrs, mode, links, size, _, address, _, uid, gid, _ = INODE_COMPACT.unpack_from(self._data, at)
            end = at + INODE_COMPACT.size
        xattrs_size = XATTR_HEADER + (xattrs - 1) * 4 if xattrs else 0
        return _Inode(nid, form >> 1 & 7, mode, uid, gid, links, size, address, end, xattrs_size)

    def node(self, inode: _Inode) -> Node | None:
        """None for a whiteout."""
        mode = stat.S_IMODE(inode.mode)
        match stat.S_IFMT(inode.mode):
            case stat.S_IFDIR:
                return Node("directory", mode, inode.uid, inode.gid)
            case stat.S_IFLNK:
                target = self._content(inode).decode("utf-8", "surrogateescape")
                return Node("symlink", 0o777, inode.uid, inode.gid, target=target)
            case stat.S_IFREG:
                names = (0, inode.nid) if inode.links > 1 else None
                capability = self._xattrs(inode).get(CAPABILITY)
                owner = (inode.uid, inode.gid)
                return Node("file", mode, *owner, size=inode.size, inode=names, capability=capability)
            case stat.S_IFCHR if inode.address == 0:
                return None
        raise InvarError(f"a file of mode {inode.mode:o} is in a layer", why="layers hold files, directories and links")

    def entries(self, inode: _Inode) -> Iterator[tuple[str, int]]:
        """Names and inode numbers in a directory, but for itself and the one above."""
        content = self._content(inode)
        for start in range(0, len(content), BLOCK):
            block = content[start : start + BLOCK]
            (_, first, _) = DIRENT.unpack_from(block)
            dirents = [DIRENT.unpack_from(block, at) for at in range(0, first, DIRENT.size)]
            ends = [offset for _, offset, _ in dirents[1:]] + [len(block)]
            for (nid, offset, _), end in zip(dirents, ends, strict=True):
                name = block[offset:end].rstrip(b"\0").decode("utf-8", "surrogateescape")
                if name not in (".", ".."):
                    yield name, nid

    def _content(self, inode: _Inode) -> bytes:
        if inode.layout not in (INODE_FLAT_PLAIN, INODE_FLAT_INLINE):
            raise InvarError(f"a directory or link of a layer has the layout {inode.layout}, which is not known here")
        tail = inode.size % BLOCK if inode.layout == INODE_FLAT_INLINE else 0
        whole = inode.size - tail
        at = inode.address * BLOCK
        inline = self._data[inode.tail_at : inode.tail_at + tail]
        return (self._data[at : at + whole] if whole else b"") + inline

    def _xattrs(self, inode: _Inode) -> dict[str, bytes]:
        """Attributes of the names in use, whether with the inode or shared by several."""
        if not inode.xattrs_size:
            return {}
        shared = self._data[inode.xattrs_at + 4]
        at = inode.xattrs_at + XATTR_HEADER
        places = [self._shared + 4 * number for number in struct.unpack_from(f"<{shared}I", self._data, at)]
        at += 4 * shared
        while at < inode.tail_at:
            places.append(at)
            name_length, _, value_length = XATTR_ENTRY.unpack_from(self._data, at)
            at += XATTR_ENTRY.size + name_length + value_length
            at += -at % 4
        found = {}
        for place in places:
            name_length, prefix, value_length = XATTR_ENTRY.unpack_from(self._data, place)
            name_at = place + XATTR_ENTRY.size
            value_at = name_at + name_length
            name = self._data[name_at:value_at].decode()
            found[XATTR_PREFIXES.get(prefix, f"{prefix}:") + name] = self._data[value_at : value_at + value_length]
        return found
