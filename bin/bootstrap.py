"""Make the virtual environment of a clone: `bootstrap.py runtime|dev VENV STAMP`.

Needs Python's standard library only. A host without ensurepip (Debian splits it off into python3-venv) is served by its
own pip, or by the pip wheel inside Debian's package python3-pip-whl, fetched by apt without root and without touching
the host.
Every dependency is pinned and hash-checked by requirements*.txt.
"""

from __future__ import annotations

import fcntl
import io
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = {"runtime": "requirements.txt", "dev": "requirements-dev.txt"}


def main() -> int:
    kind, place, stamp = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(place.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp_file(place, kind).exists() and stamp_file(place, kind).read_text() == stamp:
            return 0
        say(f"first use: making a virtual environment in {place} ...")
        try:
            make(kind, place)
        except subprocess.CalledProcessError as error:
            say("error: the virtual environment could not be made")
            say("  " + (error.stderr or error.stdout or "").strip()[-3000:].replace("\n", "\n  "))
            say("  hint: a package index must be reachable (pip's own configuration is used); or install python3-venv")
            return 1
        except BootstrapError as error:
            say(f"error: {error}")
            return 1
        stamp_file(place, kind).write_text(stamp)
        if kind == "dev":
            runtime = subprocess.run(
                ["cksum"], input=(ROOT / "requirements.txt").read_bytes(), stdout=subprocess.PIPE, check=True
            )
            stamp_file(place, "runtime").write_text(runtime.stdout.decode().strip())
        say("ready")
    return 0


class BootstrapError(Exception):
    """Something is missing on this host."""


def say(text: str) -> None:
    print(f"invar: {text}" if not text.startswith((" ", "error")) else text, file=sys.stderr, flush=True)


def stamp_file(place: Path, kind: str) -> Path:
    return place / f".invar-{kind}"


def make(kind: str, place: Path) -> None:
    """Create the environment, install the pinned requirements, and put src/ on its path."""
    python = place / "bin" / "python"
    if not working(python):
        venv.EnvBuilder(with_pip=False, clear=True, symlinks=True).create(place)
    with tempfile.TemporaryDirectory() as scratch:
        pip = find_pip(Path(scratch), python)
        arguments = ["install", "--quiet", "--require-hashes", "--no-deps", "-r", str(ROOT / REQUIREMENTS[kind])]
        say(f"installing the {kind} dependencies ...")
        run([*pip, "--disable-pip-version-check", *arguments])
        # What ensurepip brings along hooks itself into every start of the interpreter.
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", "setuptools"], capture_output=True)
    site = run([str(python), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
    (Path(site) / "invar-clone.pth").write_text(str(ROOT / "src") + "\n")


def working(python: Path) -> bool:
    """Whether an interpreter is there, runs, and is new enough (a distribution upgrade can break one)."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    return python.exists() and subprocess.run([str(python), "-I", "-c", check], capture_output=True).returncode == 0


def find_pip(scratch: Path, python: Path) -> list[str]:
    """The argv of a pip that installs into `python`'s environment, from the nearest of four places."""
    if subprocess.run([str(python), "-I", "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [str(python), "-I", "-m", "pip"]
    if subprocess.run([str(python), "-I", "-m", "ensurepip", "--upgrade"], capture_output=True).returncode == 0:
        return [str(python), "-I", "-m", "pip"]
    hosts = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, text=True)
    if hosts.returncode == 0 and tuple(map(int, hosts.stdout.split()[1].split(".")[:2])) >= (22, 3):
        return [sys.executable, "-m", "pip", "--python", str(python)]
    wheel = pip_wheel_of_debian(scratch)
    return [str(python), f"{wheel}/pip"]


def pip_wheel_of_debian(scratch: Path) -> Path:
    """Fetch python3-pip-whl with apt (signatures checked by apt, private lists, no root) and take the wheel out."""
    say("this Python has no pip: fetching the distribution's pip wheel with apt ...")
    options = [
        "-o", f"Dir::State={scratch}", "-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}",
        "-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=",
    ]  # fmt: skip
    (scratch / "lists" / "partial").mkdir(parents=True)
    (scratch / "archives" / "partial").mkdir(parents=True)
    try:
        run(["apt-get", *options, "-qq", "update"])
        run(["apt-get", *options, "-qq", "download", "python3-pip-whl"], cwd=scratch)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise BootstrapError(
            f"this Python has neither pip nor ensurepip, and apt could not fetch pip\n  {detail.strip()[-800:]}"
            "\n  hint: apt-get install python3-venv"
        ) from None
    deb = next(scratch.glob("python3-pip-whl_*.deb"))
    with tarfile.open(fileobj=io.BytesIO(data_member(deb.read_bytes())), mode="r:") as data:
        for member in data:
            name = Path(member.name).name
            if name.startswith("pip-") and name.endswith(".whl"):
                content = data.extractfile(member)
                if content is not None:
                    (scratch / name).write_bytes(content.read())
                    return scratch / name
    raise BootstrapError("the package python3-pip-whl holds no pip wheel\n  hint: apt-get install python3-venv")


def data_member(deb: bytes) -> bytes:
    """The decompressed data.tar of a .deb, which is an ar(5) archive."""
    offset = 8
    while offset < len(deb):
        name, size = deb[offset : offset + 16].decode().strip().rstrip("/"), int(deb[offset + 48 : offset + 58])
        body = deb[offset + 60 : offset + 60 + size]
        if name == "data.tar.xz":
            return lzma.decompress(body)
        if name == "data.tar.zst":
            unpacked = subprocess.run(["zstd", "-dc"], input=body, stdout=subprocess.PIPE, check=True)
            return unpacked.stdout
        offset += 60 + size + size % 2
    raise BootstrapError("the package python3-pip-whl has no data.tar.xz\n  hint: apt-get install python3-venv")


def run(argv: list[str], cwd: Path | None = None) -> str:
    """Run a command; its output comes back, or goes into the CalledProcessError."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "PYTHONPATH"}}
    return subprocess.run(argv, cwd=cwd, env=environment, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
