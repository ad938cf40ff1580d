"""Does what user data asks for, once: a script is run, anything else becomes the next generation.

What was done is remembered with the instance's id and the data's hash, so that a restart neither reverts a later switch
nor runs a script again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.machine import active, state
from invar.machine.init import content_of, say_on_console
from invar.machine.instance import read_instance
from invar.machine.user_data import Configuration, Form, Nothing, Parameters, Pointer, Script, classify
from invar.system.decode import decode
from invar.system.record import plain

REMEMBERED = state.STATE / "user-data.json"
IMAGE_CONFIGURATION = state.STATE / "baked"
"""The configuration that the image was built from, kept from the first boot on."""
PROJECT = state.STATE / "configuration"
"""Where user data is evaluated: beside copies of the image's own files."""

USER_DATA_NIX = "user-data.nix"
USER_DATA_JSON = "user-data.json"
_SCRIPT = state.RUN / "user-data-script"
_PARAMETERS_NIX = """\
# The baked configuration with the parameters of the instance's user data.
{ ... }:
{
  imports = [ ./configuration.nix ];
  invar.parameters = builtins.fromJSON (builtins.readFile ./user-data.json);
}
"""

Outcome = Literal["nothing", "ran", "applied", "booting", "refused", "fell-back"]
Step = Literal["skip", "apply", "arrived", "fell-back"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What became of the user data with this hash on this instance.

    `digest` is that of the system that was active then or, with outcome "booting", that the machine boots into.
    """

    instance_id: str
    sha256: str
    outcome: Outcome
    digest: str
    why: str = ""


def next_step(last: Remembered | None, instance_id: str, sha256: str, active_digest: str) -> Step:
    """What to do with user data, given what was done before.

    Refused user data is tried again at the next boot, a cache may have been out of reach, unless somebody has switched
    to another system meanwhile.
    """
    if last is None or (last.instance_id, last.sha256) != (instance_id, sha256):
        return "apply"
    if last.outcome == "booting":
        return "arrived" if last.digest == active_digest else "fell-back"
    if last.outcome == "refused" and last.digest == active_digest:
        return "apply"
    return "skip"


def apply_user_data(found: Path, report: Report) -> bool:
    """Do what the user data in `found` asks for, if that is still to be done; whether it was, or had been, taken.

    What is refused leaves the machine as it is and is told on the console, in the journal and by proof. Raises
    InvarError when the instance's own state can't be read or written.
    """
    keep_image_configuration(state.BOOTED_BAKED, IMAGE_CONFIGURATION)
    if not (found / "instance-id").exists():
        report.note("there is no metadata: nothing to apply")
        return True
    instance_id = (found / "instance-id").read_text().strip()
    data = (found / "user-data").read_bytes() if (found / "user-data").exists() else b""
    sha256 = hashlib.sha256(data).hexdigest()
    now = active.active()

    def remember(outcome: Outcome, digest: str = now.active_digest, why: str = "") -> None:
        state.write_json(REMEMBERED, plain(Remembered(instance_id, sha256, outcome, digest, why)))

    match next_step(recall(REMEMBERED), instance_id, sha256, now.active_digest):
        case "skip":
            report.note("the user data was dealt with before")
            return True
        case "arrived":
            remember("applied")
            state.accept()
            say_on_console(f"invar: the user data is applied: generation {now.active_generation}, {now.active_digest}")
            return True
        case "fell-back":
            fault = InvarError(
                "the generation that was made of it did not come up",
                why=f"the machine is back in generation {now.active_generation}",
            )
            _refuse(fault, lambda why: remember("fell-back", why=why))
            return False
    try:
        return _apply(classify(content_of(data, read_instance())) if data.strip() else Nothing(), remember, report)
    except InvarError as error:
        _refuse(error, lambda why: remember("refused", why=why))
        return False


def recall(path: Path) -> Remembered | None:
    """What is remembered; None on a new instance. Raises InvarError for a file that is none of ours."""
    if not path.exists():
        return None
    found = decode(Remembered, state.read_json(path), "user-data")
    assert isinstance(found, Remembered)
    return found


def keep_image_configuration(booted: Path, kept: Path) -> None:
    """Keep the image's own configuration: later generations have other files in its place."""
    if kept.exists() or not booted.is_dir():
        return
    temporary = kept.with_name(f".{kept.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(booted, temporary)
    temporary.rename(kept)
    state.sync_directory(kept.parent)


def write_project(form: Configuration | Parameters, image_configuration: Path, project: Path) -> Path:
    """Lay user data beside copies of the image's own files, as its author had it; the file to evaluate."""
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True, mode=0o700)
    if image_configuration.is_dir():
        shutil.copytree(image_configuration, project, dirs_exist_ok=True)
    entry = project / USER_DATA_NIX
    if isinstance(form, Parameters):
        state.write_whole(project / USER_DATA_JSON, json.dumps(form.values).encode())
        state.write_whole(entry, _PARAMETERS_NIX.encode())
    else:
        state.write_whole(entry, form.text.encode())
    return entry


def _apply(form: Form, remember: Callable[..., None], report: Report) -> bool:
    match form:
        case Nothing():
            remember("nothing")
            return True
        case Script():
            return _run_once(form, remember)
        case Configuration(channels=channels) if channels:
            report.warn(f"channels have no effect, packages are those of the image's lock: {', '.join(channels)}")
    # Here, as the evaluator is half of what is read in, and most boots have nothing to apply.
    from invar.machine.switch import restart, switch, switch_to_digest

    if isinstance(form, Pointer):
        caches = (form.cache,) if form.cache else ()
        switched = switch_to_digest(form.digest, caches, mode="switch", report=report)
    else:
        entry = write_project(form, IMAGE_CONFIGURATION, PROJECT)
        switched = switch(entry, mode="switch", report=report)
    if switched.reboot:
        remember("booting", switched.digest)
        say_on_console(f"invar: the user data is generation {switched.generation}, which this machine now boots into")
        restart(switched, report)
        return True
    remember("applied", switched.digest)
    state.accept()
    say_on_console(f"invar: the user data is applied: generation {switched.generation}, {switched.digest}")
    return True


def _run_once(script: Script, remember: Callable[..., None]) -> bool:
    """Run it; whether it succeeded. One that fails is not run again either: half of what it does may be done."""
    try:
        _run(script)
    except InvarError as error:
        _refuse(error, lambda why: remember("ran", why=why))
        return False
    remember("ran")
    state.accept()
    return True


def _run(script: Script) -> None:
    """Run it to its end, its output to the journal and the console. Raises InvarError when it fails."""
    state.write_whole(_SCRIPT, script.text.encode(), 0o700)
    try:
        done = subprocess.run([_SCRIPT], stdin=subprocess.DEVNULL, cwd="/", check=False)
    except OSError as error:
        raise InvarError("the script can't be run", why=error.strerror) from error
    finally:
        _SCRIPT.unlink(missing_ok=True)
    if done.returncode != 0:
        raise InvarError(f"the script failed with status {done.returncode}")


def first_words(why: str) -> str:
    """The first paragraph of a cause, on one line: what follows shows sources and traces."""
    return " ".join(why.strip().partition("\n\n")[0].splitlines()[0].split())


def _refuse(error: InvarError, remember: Callable[[str], None]) -> None:
    """Tell it to whoever asks: the state that proof reads, the console in one line, the journal in full."""
    text = f"user data refused: {error.what}" + (f" ({first_words(error.why)})" if error.why else "")
    remember(text)
    state.refuse(text)
    say_on_console(f"invar: {text}")
    print(error, file=sys.stderr, flush=True)
