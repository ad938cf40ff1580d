"""The process that does one job of the provider's: `python -m invar.terraform.worker`, a request on standard input."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any

from invar.core.errors import InvarError
from invar.core.events import Event, Note, Progress, Report, StageFinished, StageStarted, Warned
from invar.core.home import Home
from invar.terraform.jobs import JOBS, Bench
from invar.terraform.rollout_jobs import ROLLOUT_JOBS


def main() -> int:
    """Do the job; 0 with a result, 1 with an error, 130 when interrupted."""
    # The provider ignores SIGINT, which a new process inherits.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    request = json.loads(sys.stdin.read())
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever else writes to standard output writes to the log
    report = Report(_Lines(out).tell)
    bench = Bench(Home.from_environment(), report, request["account"], tuple(request["mirrors"]))
    try:
        result = {**JOBS, **ROLLOUT_JOBS}[request["verb"]](bench, **request["arguments"])
    except InvarError as error:
        told = {"what": error.what, "where": error.where, "why": error.why, "hint": error.hint}
        out.write(json.dumps({"error": told}) + "\n")
        return 1
    except KeyboardInterrupt as interrupt:
        out.write(json.dumps({"interrupted": str(interrupt)}) + "\n")
        return 130
    except Exception as error:
        traceback.print_exc()
        what = f"Invar's provider has a fault of its own: {type(error).__name__}: {error}"
        out.write(json.dumps({"error": {"what": what, "where": request["verb"]}}) + "\n")
        return 1
    out.write(json.dumps({"result": result}) + "\n")
    return 0


class _Lines:
    """Events as JSON lines; of a stage's progress one line for every tenth."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._shown: dict[str, int] = {}

    def tell(self, event: Event) -> None:
        match event:
            case StageStarted(stage):
                text = f"{stage} ..."
            case StageFinished(stage, seconds, cached):
                text = f"{stage}: {'there already' if cached else 'done'} in {seconds:.1f} s"
            case Progress(stage, done, total, unit):
                tenth = 10 * done // total if total else -1
                if tenth == self._shown.get(stage, -1):
                    return
                self._shown[stage] = tenth
                text = f"{stage}: {done} of {total} {unit}"
            case Note(text):
                pass
            case Warned(text):
                text = f"warning: {text}"
        self._out.write(json.dumps({"event": text}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
