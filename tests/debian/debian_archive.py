"""Small signed archives, built in Python, and an HTTP mirror that can misbehave."""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from pysequoia import Cert, SignatureMode, Tsk, sign

from invar.debian.mirrors import Mirrors

NOW = datetime.now(UTC).replace(microsecond=0)
DATE = NOW - timedelta(hours=2)


def ar(members: list[tuple[str, bytes]]) -> bytes:
    """An ar(5) archive."""
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def tar_member(name: str, content: bytes | None = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes | None]:
    """A member for `tar`: a regular file, or with a `type` whatever is asked for."""
    info = tarfile.TarInfo(name)
    info.mtime = 1_700_000_000
    info.mode = 0o644
    info.uname = info.gname = "root"
    for key, value in fields.items():
        setattr(info, key, value)
    if info.type == tarfile.REGTYPE and content is not None:
        info.size = len(content)
    return info, content


def directory(name: str, **fields: object) -> tuple[tarfile.TarInfo, bytes | None]:
    """A directory for `tar`."""
    return tar_member(name, None, **{"type": tarfile.DIRTYPE, "mode": 0o755, **fields})


def tar(members: list[tuple[tarfile.TarInfo, bytes | None]], tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content) if content and info.isreg() else None)
    return buffer.getvalue()


def make_deb(
    control: dict[str, str],
    members: list[tuple[tarfile.TarInfo, bytes | None]] | None = None,
    scripts: dict[str, str] | None = None,
    compress: Callable[[bytes], bytes] = lzma.compress,
    suffix: str = ".xz",
) -> bytes:
    """A .deb with these control fields, files and control files."""
    stanza = "".join(f"{name}: {value}\n" for name, value in control.items())
    extra = [tar_member(f"./{name}", text.encode(), mode=0o755) for name, text in (scripts or {}).items()]
    control_tar = tar([directory("./"), tar_member("./control", stanza.encode()), *extra])
    data_tar = tar([directory("./"), *(members or [])])
    return ar(
        [
            ("debian-binary", b"2.0\n"),
            (f"control.tar{suffix}", compress(control_tar)),
            (f"data.tar{suffix}", compress(data_tar)),
        ]
    )


@dataclass
class ArchiveBuilder:
    """A Debian archive under `root/debian` and `root/debian-security`, signed with a key of its own."""

    root: Path
    key: Tsk = field(default_factory=lambda: Tsk.generate("archive <archive@example.org>"))
    stanzas: dict[str, list[str]] = field(default_factory=dict)

    @property
    def keyring(self) -> tuple[Cert, ...]:
        return (self.key.extract_certificate(),)

    @property
    def mirrors(self) -> Mirrors:
        return Mirrors(
            (f"file://{self.root}/debian",), (f"file://{self.root}/debian-security",), source="the test's archive"
        )

    def base(self, suite: str) -> Path:
        return self.root / ("debian-security" if suite.endswith("-security") else "debian")

    def add(
        self, name: str, version: str = "1.0", *, suite: str = "trixie", content: bytes = b"", **control: str
    ) -> Path:
        """Put a package in; keyword arguments are further fields (`pre_depends` → Pre-Depends)."""
        fields = {"Package": name, "Version": version, "Architecture": "all", "Priority": "optional"}
        fields |= {key.replace("_", "-").title(): value for key, value in control.items()}
        files = [directory("./usr"), tar_member(f"./usr/{name}", content or name.encode())]
        path = f"pool/main/{name[0]}/{name}/{name}_{version.replace(':', '%3a')}_all.deb"
        target = self.base(suite) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(make_deb(fields, files))
        data = target.read_bytes()
        fields |= {"Filename": path, "Size": str(len(data)), "SHA256": hashlib.sha256(data).hexdigest()}
        text = "".join(f"{key}: {value}\n" for key, value in fields.items())
        self.stanzas.setdefault(suite, []).append(text)
        return target

    def release(
        self, suite: str, *, date: datetime = DATE, valid_until: datetime | None = None, packages: bytes = b""
    ) -> str:
        """The text of a Release file over the suite's packages, whose index is written."""
        text = "\n".join(self.stanzas.get(suite, []))
        data = packages or lzma.compress(text.encode())
        sha256 = hashlib.sha256(data).hexdigest()
        directory = self.base(suite) / "dists" / suite / "main" / "binary-amd64"
        (directory / "by-hash" / "SHA256").mkdir(parents=True, exist_ok=True)
        (directory / "by-hash" / "SHA256" / sha256).write_bytes(data)
        lines = [
            "Origin: Test",
            f"Codename: {suite}",
            f"Date: {date:%a, %d %b %Y %H:%M:%S} UTC",
            *([f"Valid-Until: {valid_until:%a, %d %b %Y %H:%M:%S} UTC"] if valid_until else []),
            "Acquire-By-Hash: yes",
            "Architectures: all amd64",
            "Components: main",
            "SHA256:",
            f" {sha256} {len(data)} main/binary-amd64/Packages.xz",
        ]
        return "\n".join(lines) + "\n"

    def publish(self, *, date: datetime = DATE, valid_until: datetime | None = None, key: Tsk | None = None) -> None:
        """Write all three suites' signed indices."""
        for suite in ("trixie", "trixie-updates", "trixie-security"):
            text = self.release(suite, date=date, valid_until=valid_until)
            signed = sign((key or self.key).signer(), text.encode(), mode=SignatureMode.CLEAR)
            (self.base(suite) / "dists" / suite / "InRelease").write_bytes(signed)


@dataclass
class Mirror:
    """An HTTP mirror on loopback that serves a directory, counts requests and can misbehave."""

    root: Path
    address: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    break_after: dict[str, int] = field(default_factory=dict)
    """Path → bytes after which the connection is cut, once."""
    failing: dict[str, int] = field(default_factory=dict)
    """Path → how many times to answer 503 first."""
    stalled: dict[str, tuple[threading.Event, threading.Event]] = field(default_factory=dict)
    """Path → after half of the file set the first event, then wait for the second."""
    replaced: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True


def handler(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path
            wanted = self.headers.get("Range")
            mirror.requests.append((path, wanted))
            file = mirror.root / path.lstrip("/")
            if mirror.failing.get(path, 0) > 0:
                mirror.failing[path] -= 1
                self.answer(503, b"busy")
                return
            if not file.is_file() and path not in mirror.replaced:
                self.answer(404, b"gone")
                return
            data = mirror.replaced.get(path) or file.read_bytes()
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and mirror.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if path in mirror.stalled:
                reached, go_on = mirror.stalled.pop(path)
                self.wfile.write(data[start : len(data) // 2])
                reached.set()
                go_on.wait(60)
                start = len(data) // 2
            limit = mirror.break_after.pop(path, None)
            self.wfile.write(data[start:] if limit is None else data[start : start + limit])
            if limit is not None:
                self.wfile.flush()
                self.close_connection = True

        def answer(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler
