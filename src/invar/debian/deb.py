"""The .deb format, after deb(5): unpacked once into the store, by the SHA-256 of the file."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from io import BufferedReader, BytesIO, RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from invar.core.errors import InvarError
from invar.debian.stanza import parse_stanza
from invar.debian.tar import Entry, TarError, read_tar
from invar.store.objects import Store

KIND = "unpacked"
_FORMAT = 1
_MAGIC = b"!<arch>\n"
_CONTROL_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Owner:
    """Owner and group of an entry, by number and by name, as the package's archive has them."""

    uid: int
    gid: int
    user: str
    group: str


@dataclass(frozen=True, slots=True)
class UnpackedDeb:
    """A package unpacked in the store.

    `root/data` is the file tree and `root/control` the control files. Every entry belongs to whoever unpacked it;
    `owners` has those that are not root:root, and `modes` those with set-uid, set-gid or sticky bits (a later chown
    clears them) and directories that are closed to their owner (open here), both by absolute path. `paths` are dpkg's
    file list in the archive's order ("/.", "/usr", ...). `conffiles` maps a conffile's path to its MD5. `fields` is the
    control stanza in its order.
    """

    root: Path
    sha256: str
    fields: Mapping[str, str]
    paths: tuple[str, ...]
    conffiles: Mapping[str, str]
    owners: Mapping[str, Owner]
    modes: Mapping[str, int]

    @property
    def data(self) -> Path:
        """The file tree."""
        return self.root / "data"

    @property
    def control(self) -> Path:
        """The control files: `control`, `md5sums`, `postinst`, ..."""
        return self.root / "control"

    @property
    def name(self) -> str:
        """The package's name."""
        return self.fields["Package"]

    @property
    def version(self) -> str:
        """The package's version."""
        return self.fields["Version"]

    @property
    def architecture(self) -> str:
        """ "amd64", "arm64" or "all"."""
        return self.fields["Architecture"]


def unpack(
    deb: Path, store: Store, *, sha256: str | None = None, cancelled: Callable[[], bool] = lambda: False
) -> UnpackedDeb:
    """Unpack a .deb, or find it unpacked. `sha256` is the file's, if it is known already (it is not checked here).

    When `cancelled` turns true, the work ends at the next entry with CancelledError and nothing is left of it.

    Safe against hostile archives: nothing is written outside of the tree, and no link of the archive is followed.
    Raises InvarError when the file is no .deb, is damaged, or is compressed with what this Python lacks.
    """
    key = sha256 or _sha256(deb)
    with store.creating(KIND, key) as temporary:
        if temporary is not None:
            temporary.mkdir()
            try:
                _unpack_into(deb, temporary, key, cancelled)
            except (TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError, ValueError) as error:
                raise InvarError("not a sound Debian package", where=str(deb), why=str(error)) from error
    return load(store.path(KIND, key))


def find(store: Store, sha256: str) -> UnpackedDeb | None:
    """The package whose .deb has this SHA-256, if it lies unpacked in the store.

    One that a power cut damaged is removed.
    """
    root = store.find(KIND, sha256)
    if root is None:
        return None
    try:
        return load(root)
    except (FileNotFoundError, ValueError):
        store.discard(KIND, sha256)
        return None


def load(root: Path) -> UnpackedDeb:
    """The record of a package that lies unpacked at `root`."""
    data = json.loads((root / "manifest.json").read_bytes())
    return UnpackedDeb(
        root=root,
        sha256=data["sha256"],
        fields=data["fields"],
        paths=tuple(data["paths"]),
        conffiles=data["conffiles"],
        owners={path: Owner(*owner) for path, owner in data["owners"].items()},
        modes=data["modes"],
    )


def _unpack_into(deb: Path, root: Path, sha256: str, cancelled: Callable[[], bool]) -> None:
    control, data = root / "control", root / "data"
    seen = []
    with deb.open("rb") as file:
        tree = None
        for name, size in _members(file):
            seen.append(name)
            if name == "debian-binary":
                if not file.read(size).startswith(b"2."):
                    raise ValueError("it is not of format 2.x")
            elif name.startswith("control.tar"):
                with _decompressed(name, BytesIO(file.read(size))) as stream:
                    _Tree(control, cancelled).fill(stream)
            elif name.startswith("data.tar"):
                tree = _Tree(data, cancelled)
                with _decompressed(name, BufferedReader(_Slice(file, size), 1 << 16)) as stream:
                    tree.fill(stream)
    if tree is None or not (control / "control").is_file():
        raise ValueError(f"it lacks control.tar or data.tar (it has {', '.join(seen) or 'nothing'})")
    fields = parse_stanza((control / "control").read_text(encoding="utf-8"))
    for field in ("Package", "Version", "Architecture"):
        if field not in fields:
            raise ValueError(f"its control file lacks {field}")
    manifest: dict[str, Any] = {
        "format": _FORMAT,
        "sha256": sha256,
        "fields": fields,
        "paths": tree.paths,
        "conffiles": _conffiles(control, data),
        "owners": tree.owners,
        "modes": tree.modes,
    }
    (root / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _members(file: BinaryIO) -> Iterator[tuple[str, int]]:
    """Name and size of every member of an ar(5) archive; the file stands at the member's first byte."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is not an ar archive")
    while header := file.read(60):
        if len(header) != 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise ValueError("a member's header is damaged")
        size = int(header[48:58])
        start = file.tell()
        yield header[:16].decode("ascii", "replace").strip().rstrip("/"), size
        file.seek(start + size + size % 2)


def _decompressed(name: str, stream: IO[bytes]) -> IO[bytes]:
    suffix = PurePosixPath(name).suffix
    match suffix:
        case ".tar":
            return stream
        case ".xz" | ".lzma":
            return lzma.open(stream)
        case ".gz":
            return cast(IO[bytes], gzip.open(stream))
        case ".zst":
            return _zstd(stream)
    raise ValueError(f"{name}: unknown compression")


def _zstd(stream: IO[bytes]) -> IO[bytes]:
    """Zstandard, which Python has from 3.14 on; before that with the zstandard package where it is installed."""
    for module, attribute in (("compression.zstd", "open"), ("backports.zstd", "open"), ("zstandard", "open")):
        try:
            found = __import__(module, fromlist=[attribute])
        except ImportError:
            continue
        opened: IO[bytes] = getattr(found, attribute)(stream)
        return opened
    raise ValueError("it is compressed with Zstandard: use Python 3.14, or install the Python package backports.zstd")


class _Slice(RawIOBase):
    """The next `size` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


class _Tree:
    """A directory that a tar stream is written into, entry by entry."""

    def __init__(self, root: Path, cancelled: Callable[[], bool]) -> None:
        self._root = os.fspath(root)
        self._cancelled = cancelled
        self._directories: dict[str, int | None] = {"": None}
        self.paths: list[str] = []
        self.owners: dict[str, list[Any]] = {}
        self.modes: dict[str, int] = {}
        Path(self._root).mkdir(mode=0o755)

    def fill(self, stream: IO[bytes]) -> None:
        read_tar(stream.read, self._add)
        while stream.read(1 << 16):
            pass  # to the end, where the compression's own checksum is
        for directory, mtime in reversed(self._directories.items()):
            if mtime is not None:
                os.utime(self._join(directory), (mtime, mtime))

    def _add(self, entry: Entry, content: Iterator[bytes]) -> None:
        if self._cancelled():
            raise CancelledError
        path = _relative(entry.name)
        self.paths.append(f"/{path}" if path else "/.")
        if entry.uid or entry.gid or entry.user not in ("root", "") or entry.group not in ("root", ""):
            self.owners[f"/{path}"] = [entry.uid, entry.gid, entry.user, entry.group]
        closed = entry.type == "directory" and entry.mode & 0o700 != 0o700
        if (entry.mode & 0o7000 or closed) and entry.type != "symlink":
            self.modes[f"/{path}"] = entry.mode
        if path:
            self._ensure_parent(path)
        full = self._join(path)
        try:
            match entry.type:
                case "directory":
                    self._make_directory(path, full, entry)
                case "file":
                    _write_file(full, entry, content)
                case "symlink":
                    Path(full).symlink_to(entry.target)
                    os.utime(full, (entry.mtime, entry.mtime), follow_symlinks=False)
                case "hardlink":
                    source = _relative(entry.target)
                    self._require_parent(source)
                    os.link(self._join(source), full, follow_symlinks=False)
        except FileExistsError:
            raise TarError(f"{entry.name} occurs twice") from None

    def _make_directory(self, path: str, full: str, entry: Entry) -> None:
        if path not in self._directories:
            Path(full).mkdir()
        Path(full).chmod(entry.mode | 0o700)
        self._directories[path] = entry.mtime

    def _ensure_parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent in self._directories:
            return
        self._ensure_parent(parent)
        try:
            Path(self._join(parent)).mkdir(mode=0o755)
        except FileExistsError:
            raise TarError(f"{path} lies beneath something that is not a directory") from None
        self._directories[parent] = None

    def _require_parent(self, path: str) -> None:
        if path.rpartition("/")[0] not in self._directories:
            raise TarError(f"a hard link points to {path}, which the archive does not have")

    def _join(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _write_file(full: str, entry: Entry, content: Iterator[bytes]) -> None:
    descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for piece in content:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
        os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, (entry.mtime, entry.mtime))
    finally:
        os.close(descriptor)


def _relative(name: str) -> str:
    """A member's name without its leading "./" and closing slash. Raises TarError if it would leave the tree."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise TarError(f"the name of a member leaves the tree: {name}")
    return "/".join(parts)


def _conffiles(control: Path, data: Path) -> dict[str, str]:
    """The MD5 of every conffile; lines with a flag before the path (deb-conffiles(5)) are not files of this version."""
    listed = control / "conffiles"
    if not listed.is_file():
        return {}
    found = {}
    for line in listed.read_text(encoding="utf-8").splitlines():
        path = line.strip()
        if path.startswith("/"):
            file = data / _relative(path)
            if file.is_file() and not file.is_symlink():
                found[path] = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
