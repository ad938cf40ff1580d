"""The real archive, by the host's mirrors: a lock is made of it, and it is the set that apt would install."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from invar.core.events import Report
from invar.core.home import Home
from invar.debian.lock import Lock, read_lock, write_lock
from invar.debian.mirrors import Mirrors, find_mirrors
from invar.debian.provision import fetch_and_unpack
from invar.debian.resolve import make_lock, open_universe, suites_of
from invar.debian.solver import solve
from invar.store.objects import Store

REQUESTS = [
    "nginx",
    "postgresql",
    "awscli",
    "systemd",
    "systemd-sysv",
    "openssh-server",
    "sudo",
    "linux-image-cloud-amd64",
]

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def mirrors() -> Mirrors:
    return find_mirrors(environment=os.environ)


@pytest.fixture(scope="module")
def store(home: Home) -> Store:
    return Store(home.store)


@pytest.fixture(scope="module")
def lock(mirrors: Mirrors, store: Store) -> Lock:
    return make_lock(REQUESTS, ["erofs-utils"], mirrors, store, Report(), origins={}, now=datetime.now(UTC))


def test_lock_reads_back_and_is_stable(lock: Lock, mirrors: Mirrors, store: Store, tmp_path: Path) -> None:
    write_lock(lock, tmp_path / "invar.lock")
    assert read_lock(tmp_path / "invar.lock") == lock
    again = make_lock(
        REQUESTS, ["erofs-utils"], mirrors, store, Report(), origins={}, now=datetime.now(UTC), previous=lock
    )
    assert again == lock
    assert set(REQUESTS) <= set(lock.image)


def test_packages_unpack(lock: Lock, mirrors: Mirrors, store: Store) -> None:
    some = lock.ordered(["base-files", "libc6", "sudo"])
    found = fetch_and_unpack(some, store, mirrors, Report(), date=lock.date)
    assert {name: deb.version for name, deb in found.items()} == {item.name: item.version for item in some}
    assert found["sudo"].modes["/usr/bin/sudo"] & 0o4000
    assert (found["base-files"].data / "etc/debian_version").is_file()


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt as the oracle")
@pytest.mark.parametrize(
    "requests", [REQUESTS, ["libreoffice"], ["postfix", "dovecot-imapd"]], ids=lambda item: item[0]
)
def test_set_is_apts(requests: list[str], lock: Lock, mirrors: Mirrors, store: Store, apt_config: Path) -> None:
    universe = open_universe(mirrors, store, Report(), now=datetime.now(UTC), previous=lock)
    ours = {name: package.version for name, package in solve(requests, universe).packages.items()}
    done = subprocess.run(
        ["apt-get", "--simulate", "install", *universe.base(), *requests],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "APT_CONFIG": str(apt_config), "LC_ALL": "C"},
    )
    installed = [line.split() for line in done.stdout.splitlines() if line.startswith("Inst ")]
    assert ours == {words[1].partition(":")[0]: words[2].lstrip("(") for words in installed}


@pytest.fixture(scope="module")
def apt_config(mirrors: Mirrors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An apt of its own, with the same archive and nothing installed."""
    root = tmp_path_factory.mktemp("apt")
    for name in ("etc/apt/preferences.d", "etc/apt/apt.conf.d", "state/lists/partial", "cache/archives/partial"):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    lines = [f"deb [trusted=yes] {mirrors.serving(suite, None)[0]} {suite} main\n" for suite in suites_of("trixie")]
    (root / "etc/apt/sources.list").write_text("".join(lines))
    settings = {
        "Dir": root,
        "Dir::Etc": "etc/apt",
        "Dir::State": "state",
        "Dir::State::status": root / "status",
        "Dir::Cache": "cache",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
    }
    config = root / "apt.conf"
    config.write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    subprocess.run(
        ["apt-get", "update"], check=True, capture_output=True, env={**os.environ, "APT_CONFIG": str(config)}
    )
    return config
