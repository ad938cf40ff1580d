"""Joins standard input and output with a unix socket: what QEMU runs for each connection to the metadata address.

Run as `python -I -S relay.py SOCKET`. It imports little because it starts once per connection.
"""

import os
import select
import socket
import sys


def main(path: str) -> int:
    """Copy both ways until the far end has closed; the near end's close is passed on."""
    far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory, name = os.path.split(path)
    if directory:
        os.chdir(directory)
    far.connect(name)
    near_open = True
    while True:
        watched = [far.fileno(), 0] if near_open else [far.fileno()]
        readable, _, _ = select.select(watched, [], [])
        if 0 in readable:
            data = os.read(0, 65536)
            if data:
                far.sendall(data)
            else:
                near_open = False
                far.shutdown(socket.SHUT_WR)
        if far.fileno() in readable:
            data = far.recv(65536)
            if not data:
                return 0
            while data:
                data = data[os.write(1, data) :]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except OSError as fault:
        sys.exit(f"relay: {fault}")
