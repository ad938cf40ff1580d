"""The partitions of the disk that this machine's state is on, by GPT label."""

from __future__ import annotations

import re
from pathlib import Path

_PARTNAME = re.compile(r"^PARTNAME=(.*)$", re.M)


def partition(label: str, root: Path = Path("/")) -> Path | None:
    """The device of the partition with a label on the disk that /var is on; None when there is none.

    `root` is where /proc and /sys are.
    """
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[4] != "/var":
            continue
        device = root / "sys/dev/block" / words[2]
        if not device.exists():
            return None
        for uevent in sorted(device.resolve().parent.glob("*/uevent")):
            match = _PARTNAME.search(uevent.read_text())
            if match and match[1] == label:
                return Path("/dev") / uevent.parent.name
    return None
