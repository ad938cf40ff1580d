"""`python -m invar.localcloud --root DIR [--port N]`: serve the local cloud in the foreground."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from invar.core.errors import InvarError
from invar.localcloud.server import serve


def main() -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m invar.localcloud", description="Serve the local cloud on 127.0.0.1."
    )
    parser.add_argument("--root", type=Path, required=True, help="directory of the cloud's state")
    parser.add_argument(
        "--port", type=int, default=0, help="port to listen on; 0: any free one, named in ROOT/cloud.json"
    )
    options = parser.parse_args()
    try:
        serve(options.root.absolute(), options.port)
    except InvarError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
