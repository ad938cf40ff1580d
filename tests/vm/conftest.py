"""QEMU out of the tools layer, and a tiny guest's kernel, locked once and kept in the tests' home.

INVAR_TEST_QEMU=host takes the host's QEMU and OVMF instead, for the tests that need nothing else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from invar.core.events import Report
from invar.core.home import Home
from invar.debian.lock import Lock, read_lock, write_lock
from invar.debian.mirrors import find_mirrors
from invar.debian.provision import fetch_and_unpack
from invar.debian.resolve import make_lock
from invar.image.tools import Tools, realise_tools, tool_requests
from invar.store.objects import Store
from invar.vm.install import QemuInstall
from invar.vm.machine import stop
from invar.vm.record import list_machines
from vm.guest import GuestParts

KERNEL = "linux-image-cloud-amd64"


@pytest.fixture(scope="session")
def guest_lock(home: Home) -> Lock:
    """The tools and a kernel, as the archive had them when the tests first ran."""
    path = home.root / "vm-tests.lock"
    if path.exists() and set(tool_requests("amd64")) <= set(read_lock(path).tool_requests):
        return read_lock(path)
    store = Store(home.store)
    mirrors = find_mirrors(environment=os.environ)
    lock = make_lock((KERNEL,), tool_requests("amd64"), mirrors, store, Report(), origins={}, now=datetime.now(UTC))
    write_lock(lock, path)
    return lock


@pytest.fixture(scope="session")
def tools(home: Home, guest_lock: Lock) -> Tools:
    """The tools layer."""
    mirrors = find_mirrors(environment=os.environ, locked=guest_lock.mirrors)
    return realise_tools(guest_lock, Store(home.store), mirrors, Report())


@pytest.fixture(scope="session")
def install(request: pytest.FixtureRequest) -> QemuInstall:
    """QEMU."""
    if os.environ.get("INVAR_TEST_QEMU") == "host":
        if shutil.which("qemu-system-x86_64") is None:
            pytest.skip("INVAR_TEST_QEMU=host, but the host has no qemu-system-x86_64")
        return QemuInstall.from_host(["qemu-system-x86_64"], ["qemu-img"], Path("/usr/share/OVMF"))
    tools: Tools = request.getfixturevalue("tools")
    return QemuInstall.from_tools(tools)


@pytest.fixture(scope="session")
def guest_parts(home: Home, guest_lock: Lock, tools: Tools) -> GuestParts:
    """What guests are made of."""
    mirrors = find_mirrors(environment=os.environ, locked=guest_lock.mirrors)
    kernels = [package for package in guest_lock.image_packages() if package.name.startswith("linux-image-")]
    for unpacked in fetch_and_unpack(kernels, Store(home.store), mirrors, Report()).values():
        for kernel in unpacked.data.glob("boot/vmlinuz-*"):
            version = kernel.name.removeprefix("vmlinuz-")
            return GuestParts(tools, kernel, unpacked.data / "usr/lib/modules" / version)
    raise AssertionError(f"no kernel in {[package.name for package in kernels]}")


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Home]:
    """A home of its own for the machines of one test, which are gone after it."""
    own = Home(tmp_path / "home")
    yield own
    for machine in list_machines(own):
        stop(machine, graceful=False)
