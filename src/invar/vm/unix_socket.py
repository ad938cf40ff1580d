"""Unix sockets at paths longer than the 107 bytes that sockaddr_un holds (unix(7)), through /proc/self/fd."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def listen(path: Path) -> socket.socket:
    """A listening stream socket at `path`, for this user alone. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        path.chmod(0o600)
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory)
    return listener


def connect(path: Path, seconds: float | None = None) -> socket.socket:
    """A stream socket connected to `path`, with a timeout in seconds for each of its operations. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.settimeout(seconds)
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection
