"""Every unit of the example, read by systemd itself where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "production-web"
FAULTS = re.compile(
    r"Unknown (key|section)|Failed to (parse|resolve)|Invalid|ignoring|Missing '='|Bad message", re.IGNORECASE
)
# Users of the image don't exist here, and older systemds don't know newer directives: Debian's own units', and ours.
HARMLESS = re.compile(r"/usr/lib/systemd|/lib/systemd|SurviveFinalKillSignal")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_reads_every_unit_without_a_complaint(evaluate_at, tmp_path):
    made = evaluate_at(EXAMPLE)
    units = []
    for target, entry in made.etc.items():
        match = re.fullmatch(r"systemd/system/([^/]+\.(?:service|socket|timer|target|path|mount|slice))", target)
        if match and entry["text"] is not None:
            path = tmp_path / match[1]
            path.write_text(entry["text"])
            units.append(str(path))
    assert len(units) >= 8
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:/usr/lib/systemd/system", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    complaints = [
        line
        for line in done.stderr.splitlines()
        if str(tmp_path) in line and FAULTS.search(line) and not HARMLESS.search(line)
    ]
    assert not complaints, "\n".join(complaints)
