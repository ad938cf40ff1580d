"""An EROFS writer in Python alone: an in-memory tree becomes an uncompressed image, equal trees become equal bytes.

The format is the kernel's fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst: 4 KiB blocks, metadata from
block 0 on, whole data blocks behind it, the tails of files and directories inline behind their inodes.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass, field

from invar.image.crc32c import crc32c

BLOCK = 4096
SLOT = 32
NAME_MAX = 255

SUPER_OFFSET = 1024
SUPER_MAGIC = 0xE0F5E1E2
SUPER = struct.Struct("<IIIBBHQQIIII16s16sI44x")
FEATURE_COMPAT_SB_CHKSUM = 0x1
FEATURE_COMPAT_MTIME = 0x2

INODE_COMPACT = struct.Struct("<HHHHIIIIHHI")
INODE_EXTENDED = struct.Struct("<HHHHQIIIIQII16x")
INODE_FLAT_PLAIN = 0
INODE_FLAT_INLINE = 2
NULL_ADDRESS = 0xFFFFFFFF

DIRENT = struct.Struct("<QHBx")
FT_REG_FILE, FT_DIR, FT_CHRDEV, FT_SYMLINK = 1, 2, 3, 7


@dataclass(frozen=True, slots=True)
class File:
    """A regular file; `mode` holds permission bits only."""

    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link, owned by root. `target` is not empty and shorter than 4096 bytes."""

    target: str


@dataclass(frozen=True, slots=True)
class Whiteout:
    """A character device 0:0: in overlayfs it hides the name in the layers below."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory; `entries` maps a name (1 to 255 bytes in UTF-8, no slash, not "." or "..") to what it is."""

    entries: dict[str, Node] = field(default_factory=dict)
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


Node = File | Symlink | Whiteout | Directory


def build_erofs(root: Directory, *, uuid: bytes, build_time: int) -> bytes:
    """The image of a tree, a multiple of 4096 bytes. Every time stamp is `build_time` (seconds since 1970).

    `uuid` is 16 bytes. Raises ValueError for a name or a link that the format cannot hold.
    """
    inodes = _collect(root)
    metadata_blocks = _place_metadata(inodes)
    blocks = _place_data(inodes, metadata_blocks)
    image = bytearray(blocks * BLOCK)
    for inode in inodes:
        _write_inode(image, inode, build_time)
    header = (FEATURE_COMPAT_SB_CHKSUM | FEATURE_COMPAT_MTIME, BLOCK.bit_length() - 1, 0, inodes[0].nid, len(inodes))
    times = (build_time, 0)
    areas = (blocks, 0, 0)
    SUPER.pack_into(image, SUPER_OFFSET, SUPER_MAGIC, 0, *header, *times, *areas, uuid, bytes(16), 0)
    checksum = crc32c(memoryview(image)[SUPER_OFFSET:BLOCK])
    struct.pack_into("<I", image, SUPER_OFFSET + 4, checksum)
    return bytes(image)


class _Inode:
    """A node on its way to the disk: first its size, then its places, then its bytes."""

    __slots__ = ("blkaddr", "children", "data", "extended", "links", "mode", "names", "nid", "node", "number", "size")

    def __init__(self, node: Node, number: int) -> None:
        self.node = node
        self.number = number
        self.nid = 0
        self.blkaddr = NULL_ADDRESS
        self.names: list[list[bytes]] = []
        self.children: dict[bytes, _Inode] = {}
        self.data = b""
        self.links = 1
        match node:
            case File():
                self.mode = stat.S_IFREG | node.mode
                self.data = node.content
            case Symlink():
                self.mode = stat.S_IFLNK | 0o777
                self.data = _encode(node.target)
                if not 0 < len(self.data) < BLOCK or b"\0" in self.data:
                    raise ValueError(f"not a target for a symbolic link: {node.target!r}")
            case Whiteout():
                self.mode = stat.S_IFCHR
            case Directory():
                self.mode = stat.S_IFDIR | node.mode
        self.size = len(self.data)
        uid, gid = self.owner
        self.extended = max(uid, gid) > 0xFFFF

    @property
    def owner(self) -> tuple[int, int]:
        node = self.node
        return (node.uid, node.gid) if isinstance(node, (File, Directory)) else (0, 0)

    @property
    def header_size(self) -> int:
        return INODE_EXTENDED.size if self.extended else INODE_COMPACT.size

    @property
    def tail(self) -> int:
        """Bytes kept inline; 0 when the last block is full, or too full to share a block with the inode."""
        tail = self.size % BLOCK
        return tail if self.header_size + tail <= BLOCK else 0

    @property
    def data_blocks(self) -> int:
        return (self.size - self.tail + BLOCK - 1) // BLOCK

    @property
    def file_type(self) -> int:
        match self.node:
            case File():
                return FT_REG_FILE
            case Directory():
                return FT_DIR
            case Symlink():
                return FT_SYMLINK
            case Whiteout():
                return FT_CHRDEV


def _collect(root: Directory) -> list[_Inode]:
    """All inodes, breadth first and by name, the root first; directories know their size and children."""
    inodes = [_Inode(root, 1)]
    inodes[0].children[b".."] = inodes[0]
    for inode in inodes:
        if not isinstance(inode.node, Directory):
            continue
        encoded = {_name(name): node for name, node in inode.node.entries.items()}
        for name in sorted(encoded):
            child = _Inode(encoded[name], len(inodes) + 1)
            inode.children[name] = child
            if isinstance(child.node, Directory):
                child.children[b".."] = inode
            inodes.append(child)
        inode.children[b"."] = inode
        inode.links = 2 + sum(isinstance(node, Directory) for node in inode.node.entries.values())
        inode.extended = inode.extended or inode.links > 0xFFFF
        inode.names = _split_into_blocks(sorted(inode.children))
        inode.size = (len(inode.names) - 1) * BLOCK + sum(DIRENT.size + len(name) for name in inode.names[-1])
    return inodes


def _split_into_blocks(names: list[bytes]) -> list[list[bytes]]:
    """Names in order, as many to a directory block as fit."""
    blocks: list[list[bytes]] = [[]]
    used = 0
    for name in names:
        need = DIRENT.size + len(name)
        if used + need > BLOCK:
            blocks.append([])
            used = 0
        blocks[-1].append(name)
        used += need
    return blocks


def _place_metadata(inodes: list[_Inode]) -> int:
    """Give every inode its nid: an inode and its inline tail lie in one block. Returns the metadata blocks' number."""
    at = SUPER_OFFSET + SUPER.size
    for inode in inodes:
        need = inode.header_size + inode.tail
        if at // BLOCK != (at + need - 1) // BLOCK:
            at = -(-at // BLOCK) * BLOCK
        inode.nid = at // SLOT
        at = -(-(at + need) // SLOT) * SLOT
    return -(-at // BLOCK)


def _place_data(inodes: list[_Inode], start: int) -> int:
    """Give every inode with whole blocks its first one. Returns the number of blocks of the image."""
    for inode in inodes:
        if inode.data_blocks:
            inode.blkaddr = start
            start += inode.data_blocks
    return start


def _write_inode(image: bytearray, inode: _Inode, build_time: int) -> None:
    data = _directory_data(inode) if isinstance(inode.node, Directory) else inode.data
    layout = INODE_FLAT_INLINE if inode.tail else INODE_FLAT_PLAIN
    uid, gid = inode.owner
    address = 0 if isinstance(inode.node, Whiteout) else inode.blkaddr
    at = inode.nid * SLOT
    if inode.extended:
        form = (layout << 1 | 1, 0, inode.mode, 0, inode.size, address)
        INODE_EXTENDED.pack_into(image, at, *form, inode.number, uid, gid, build_time, 0, inode.links)
    else:
        form = (layout << 1, 0, inode.mode, inode.links, inode.size, 0)
        INODE_COMPACT.pack_into(image, at, *form, address, inode.number, uid, gid, 0)
    whole = inode.size - inode.tail
    if whole:
        image[inode.blkaddr * BLOCK : inode.blkaddr * BLOCK + whole] = data[:whole]
    if inode.tail:
        at += inode.header_size
        image[at : at + inode.tail] = data[whole:]


def _directory_data(inode: _Inode) -> bytes:
    """Directory blocks: the dirents, then their names; all but the last padded to 4096 bytes."""
    blocks = []
    for names in inode.names:
        offset = DIRENT.size * len(names)
        dirents = []
        for name in names:
            child = inode.children[name]
            dirents.append(DIRENT.pack(child.nid, offset, child.file_type))
            offset += len(name)
        blocks.append(b"".join([*dirents, *names]))
    return b"".join([*(block.ljust(BLOCK, b"\0") for block in blocks[:-1]), blocks[-1]])


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _name(text: str) -> bytes:
    name = _encode(text)
    if not 0 < len(name) <= NAME_MAX or name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise ValueError(f"not a name for a directory entry: {text!r}")
    return name
