"""Fixtures: an archive to be filled, a store, a universe out of text, an HTTP mirror on loopback."""

from __future__ import annotations

import hashlib
import lzma
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from invar.debian.index import Universe, parse_index
from invar.debian.lock import LockedIndex
from invar.store.objects import Store

sys.path.insert(0, str(Path(__file__).parent))

from debian_archive import ArchiveBuilder, Mirror, handler


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveBuilder:
    """An archive with an Essential package, to be filled and published."""
    builder = ArchiveBuilder(tmp_path / "archive")
    builder.add("base-files", essential="yes", priority="required")
    return builder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def universe_of(store: Store) -> Callable[[str], Universe]:
    """A universe out of the text of a Packages file; fields that do not matter are filled in."""

    def make(text: str) -> Universe:
        paragraphs = []
        for paragraph in filter(str.strip, text.split("\n\n")):
            lines = [line.strip() for line in paragraph.strip().splitlines()]
            name = lines[0].partition(": ")[2]
            defaults = {
                "Version": "1",
                "Architecture": "all",
                "Filename": f"pool/{name}.deb",
                "SHA256": hashlib.sha256(paragraph.encode()).hexdigest(),
                "Size": "1",
            }
            given = {line.partition(":")[0] for line in lines}
            lines += [f"{key}: {value}" for key, value in defaults.items() if key not in given]
            paragraphs.append("\n".join(lines) + "\n")
        data = lzma.compress("\n".join(paragraphs).encode(), preset=0)
        locked = LockedIndex("trixie", "main", "2026-01-01T00:00:00Z", "0" * 64, hashlib.sha256(data).hexdigest())
        return Universe([(locked, parse_index(store, data, "trixie", where="test"))])

    return make


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """An HTTP mirror of `tmp_path/archive/debian`."""
    mirror = Mirror(tmp_path / "archive" / "debian")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(mirror))
    server.daemon_threads = True
    mirror.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield mirror
    server.shutdown()
    server.server_close()
    thread.join()
