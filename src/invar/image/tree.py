"""A file tree as data: read from a root, changed by pure functions, written as a tar stream and a manifest.

Standard library only: it runs inside the sandbox, in an interpreter of its own. Paths are strings, for there are tens
of thousands.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

CAPABILITY = "security.capability"
_CHUNK = 1 << 20
_BLOCK = 512

Kind = Literal["directory", "file", "symlink"]


@dataclass(frozen=True, slots=True)
class Node:
    """One entry. `mode` holds permission bits only.

    `inode` (device, number) is set when the file may have further names. `capability` is its security.capability, see
    capabilities(7).
    """

    kind: Kind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    target: str = ""
    content: bytes | None = None
    source: str = ""
    size: int = 0
    inode: tuple[int, int] | None = None
    capability: bytes | None = None

    def read(self) -> bytes:
        """A file's bytes."""
        if self.content is not None:
            return self.content
        return Path(self.source).read_bytes()


Tree = dict[str, Node]
"""Entries by their path without the leading slash; "" is the root."""


def text_file(text: str, mode: int = 0o644) -> Node:
    """A file of root's with the given text."""
    content = text.encode()
    return Node("file", mode, content=content, size=len(content))


def read_tree(root: str, skip: frozenset[str]) -> Tree:
    """Everything below `root` but what lies in the directories `skip`; devices, pipes and sockets are left out."""
    status = os.lstat(root)
    tree: Tree = {"": Node("directory", stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)}
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(f"{root}/{directory}") as entries:
            for entry in entries:
                path = f"{directory}/{entry.name}" if directory else entry.name
                node = _read_node(entry.path, entry.stat(follow_symlinks=False))
                if node is None:
                    continue
                tree[path] = node
                if node.kind == "directory" and path not in skip:
                    pending.append(path)
    return tree


def _read_node(path: str, status: os.stat_result) -> Node | None:
    mode, uid, gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    if stat.S_ISDIR(status.st_mode):
        return Node("directory", mode, uid, gid)
    if stat.S_ISLNK(status.st_mode):
        return Node("symlink", 0o777, uid, gid, target=os.readlink(path))  # noqa: PTH115
    if not stat.S_ISREG(status.st_mode):
        return None
    inode = (status.st_dev, status.st_ino) if status.st_nlink > 1 else None
    return Node("file", mode, uid, gid, source=path, size=status.st_size, inode=inode, capability=read_capability(path))


def read_capability(path: str) -> bytes | None:
    """security.capability in its version 2. (Inside a user namespace the kernel hands out version 3 that way.)"""
    try:
        value = os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except OSError:
        return None
    if value[3:4] == b"\x03":
        return value[:3] + b"\x02" + value[4:20]
    return value


def ordered(tree: Tree) -> list[str]:
    """Paths in byte order: every directory before what is in it."""
    return sorted(tree, key=os.fsencode)


def write_tar(tree: Tree, output: IO[bytes], manifest: IO[str] | None, mtime: int) -> None:
    """The tree as a pax archive in byte order with one time stamp, and its manifest if asked: a JSON object a line.

    A file's further names are hard links to the first one in order. Hashes in the manifest are SHA-256 in hexadecimal.
    """
    first_names: dict[tuple[int, int], str] = {}
    for path in ordered(tree):
        node = tree[path]
        record: dict[str, object] = {"path": f"/{path}", "type": node.kind, "mode": f"{node.mode:04o}"}
        record |= {"uid": node.uid, "gid": node.gid}
        name = "./" + path + ("/" if node.kind == "directory" and path else "")
        if node.kind == "file" and node.inode is not None and node.inode in first_names:
            earlier = first_names[node.inode]
            output.write(_header(name, b"1", node, 0, f"./{earlier}", mtime))
            record["link"] = f"/{earlier}"
        elif node.kind == "file":
            if node.inode is not None:
                first_names[node.inode] = path
            output.write(_header(name, b"0", node, node.size, "", mtime))
            record |= {"size": node.size, "sha256": _write_content(node, output)}
            if node.capability:
                record["capability"] = node.capability.hex()
        elif node.kind == "symlink":
            output.write(_header(name, b"2", node, 0, node.target, mtime))
            record["target"] = node.target
        else:
            output.write(_header(name, b"5", node, 0, "", mtime))
        if manifest is not None:
            manifest.write(json.dumps(record, sort_keys=True) + "\n")
    output.write(bytes(2 * _BLOCK))


def _write_content(node: Node, output: IO[bytes]) -> str:
    hasher = hashlib.sha256()
    written = 0
    for chunk in _chunks(node):
        hasher.update(chunk)
        output.write(chunk)
        written += len(chunk)
    if written != node.size:
        raise ValueError(f"{node.source} changed while it was read")
    output.write(bytes(-written % _BLOCK))
    return hasher.hexdigest()


def _chunks(node: Node) -> Iterator[bytes]:
    if node.content is not None:
        yield node.content
        return
    descriptor = os.open(node.source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while chunk := os.read(descriptor, _CHUNK):
            yield chunk
    finally:
        os.close(descriptor)


def _header(name: str, kind: bytes, node: Node, size: int, link: str, mtime: int) -> bytes:
    """A ustar header, behind a pax header for what does not fit in it (POSIX.1-2017, pax)."""
    name_bytes, link_bytes = os.fsencode(name), os.fsencode(link)
    records = b""
    if len(name_bytes) > 100:
        records += _pax_record(b"path", name_bytes)
    if len(link_bytes) > 100:
        records += _pax_record(b"linkpath", link_bytes)
    if size >= 1 << 33:
        records += _pax_record(b"size", str(size).encode())
    if node.capability and kind == b"0":
        records += _pax_record(b"SCHILY.xattr." + CAPABILITY.encode(), node.capability)
    header = _ustar(name_bytes[:100], kind, node, min(size, (1 << 33) - 1), link_bytes[:100], mtime)
    if not records:
        return header
    extended = _ustar(b"./pax", b"x", Node("file", 0o644), len(records), b"", mtime)
    return extended + records + bytes(-len(records) % _BLOCK) + header


def _pax_record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    if len(str(length)) != len(str(len(body))):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def _ustar(name: bytes, kind: bytes, node: Node, size: int, link: bytes, mtime: int) -> bytes:
    fields = (
        name.ljust(100, b"\0"),
        b"%07o\0" % node.mode,
        b"%07o\0" % node.uid,
        b"%07o\0" % node.gid,
        b"%011o\0" % size,
        b"%011o\0" % mtime,
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        b"ustar\x0000",
        bytes(80),
        bytes(155 + 12),
    )
    header = b"".join(fields)
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]
