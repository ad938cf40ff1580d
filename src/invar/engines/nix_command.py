"""Running the user's own Nix: found, asked for its version, its progress told, its faults as errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invar.core.children import interrupts_held
from invar.core.errors import InvarError
from invar.core.events import Report, Stage
from invar.engines.nix_log import Counted, NixLog, Said

FEATURES = ("--extra-experimental-features", "nix-command flakes")
OLDEST = (2, 4)
"""The first Nix with flakes and `nix build --json`."""

NO_NIX = "install it from https://nixos.org/download, or leave out --engine nix: the native engine needs no Nix"


@dataclass(frozen=True, slots=True)
class Nix:
    """A Nix installation. `options` go to every command."""

    directory: str
    version: tuple[int, ...]
    environment: Mapping[str, str]
    report: Report
    options: tuple[str, ...] = ()

    @classmethod
    def find(cls, environment: Mapping[str, str], report: Report, options: Sequence[str] = ()) -> Nix:
        """The Nix of PATH. Raises InvarError when there is none, or one without flakes."""
        program = shutil.which("nix", path=environment.get("PATH"))
        if program is None:
            raise InvarError("there is no Nix here", why="no program `nix` in PATH", hint=NO_NIX)
        try:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise InvarError(f"{program} does not run", why=str(error), hint=NO_NIX) from error
        numbers = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
        version = tuple(int(part) for part in numbers.groups() if part) if numbers else (0,)
        if version < OLDEST:
            raise InvarError(
                f"{program} is too old: {said.strip()}", why="flakes came with Nix 2.4", hint="nix upgrade-nix"
            )
        return cls(os.path.dirname(program), version, environment, report, tuple(options))  # noqa: PTH120

    def json(self, *arguments: str, stage: str) -> Any:
        """What a `nix` command prints as JSON. Raises InvarError."""
        text = self.run("nix", *FEATURES, *arguments, "--json", *self.options, stage=stage)
        try:
            return json.loads(text)
        except ValueError as error:
            raise InvarError(f"`nix {arguments[0]}` printed no JSON", why=text[:500]) from error

    def run(self, program: str, *arguments: str, stage: str) -> str:
        """What a program of Nix prints; its progress goes to the report. Raises InvarError with Nix's own message."""
        path = os.path.join(self.directory, program)  # noqa: PTH118
        argv = [path, *arguments, "--log-format", "internal-json"]
        log = NixLog()
        with self.report.stage(stage) as running, tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            try:
                with interrupts_held():
                    process = subprocess.Popen(
                        argv,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.PIPE,
                        text=True,
                        errors="replace",
                        env=dict(self.environment),
                        start_new_session=True,
                    )
            except OSError as error:
                raise InvarError(f"{path} does not run", why=error.strerror) from error
            try:
                assert process.stderr is not None
                for line in process.stderr:
                    self._tell(log, line, running)
                code = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
            if code:
                raise failure(program, arguments, log)
            output.seek(0)
            return output.read()

    def _tell(self, log: NixLog, line: str, running: Stage) -> None:
        for event in log.read(line):
            match event:
                case Counted(done, expected):
                    running.progress(done, expected, "builds")
                case Said(text, warning=True):
                    self.report.warn(f"nix: {text}")
                case Said(text):
                    self.report.note(f"nix: {text}")


def failure(program: str, arguments: Sequence[str], log: NixLog) -> InvarError:
    """Why a command of Nix failed, out of what it logged."""
    message = "\n".join(log.errors) or "it said nothing"
    first, _, rest = message.partition("\n")
    why = rest.rstrip()
    if log.last_lines and "builder" in message:
        why = "\n".join([why, "the end of the build's log:", *log.last_lines]).strip("\n")
    hint = None
    if "does not provide attribute" in first:
        hint = "`nix flake show` lists what the flake has"
    elif "experimental" in message and "disabled" in message:
        hint = "enable flakes: experimental-features = nix-command flakes in nix.conf"
    elif "<nixpkgs" in message or "was not found in the Nix search path" in message:
        hint = "set NIX_PATH (nixpkgs=...), or build a flake"
    elif "daemon" in message and "connect" in message:
        hint = "start nix-daemon, or run as the store's owner"
    words = " ".join([program, *[one for one in arguments[:3] if not one.startswith("--extra") and " " not in one]])
    return InvarError(f"nix: {first}", where=words, why=why or None, hint=hint)
