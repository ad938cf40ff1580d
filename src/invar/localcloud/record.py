"""The record that a running cloud leaves in its state directory: which process it is and where it listens."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "cloud.json"


@dataclass(frozen=True, slots=True)
class CloudRecord:
    """One running cloud. `instance` tells it from another process that got the same number later."""

    pid: int
    address: str
    port: int
    instance: str

    @property
    def url(self) -> str:
        """What goes into AWS_ENDPOINT_URL."""
        return f"http://{self.address}:{self.port}"


def write_record(root: Path, record: CloudRecord) -> None:
    """Leave the record, whole."""
    temporary = root / f"{NAME}.new"
    temporary.write_text(json.dumps(asdict(record)) + "\n")
    temporary.replace(root / NAME)


def read_record(root: Path) -> CloudRecord | None:
    """The record, if there is one that can be read; the process may be gone all the same."""
    try:
        return CloudRecord(**json.loads((root / NAME).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def remove_record(root: Path) -> None:
    """The cloud has stopped."""
    (root / NAME).unlink(missing_ok=True)
