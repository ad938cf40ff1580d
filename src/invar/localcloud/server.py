"""The cloud's process: puts the parts together over a state directory and serves them on 127.0.0.1."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.core.home import Home
from invar.localcloud import moto_front
from invar.localcloud.base_disks import BaseDisks
from invar.localcloud.block_file import BlockFile
from invar.localcloud.clock import Clock
from invar.localcloud.compute import Compute
from invar.localcloud.control import Control, Controls
from invar.localcloud.database import Database
from invar.localcloud.ebs import Caller, EbsDirect
from invar.localcloud.ec2_images import Ec2Images
from invar.localcloud.ec2_snapshots import Ec2Snapshots
from invar.localcloud.errors import CloudError
from invar.localcloud.faults import Counters, FaultBook
from invar.localcloud.gateway import Gateway, Parts
from invar.localcloud.http_server import Application, Server
from invar.localcloud.hypervisor import Hypervisor, own_qemu
from invar.localcloud.images import ImageStore
from invar.localcloud.load_balancers import LoadBalancers
from invar.localcloud.prober import ProbeThread
from invar.localcloud.record import CloudRecord, remove_record, write_record
from invar.localcloud.settings import Settings
from invar.localcloud.snapshots import SnapshotStore
from invar.localcloud.tokens import TokenMint
from invar.vm.install import QemuInstall

ADDRESS = "127.0.0.1"
STEP_SECONDS = 0.1
"""How often what is due is done while the clock runs."""
LOOK_SECONDS = 0.05
"""How often the server looks whether it shall end."""
LAST_PORT = "port"
SAVE_AFTER = 0.2
"""Seconds after a change until moto's state is written."""
MOTO_AUTOSCALING = {"CreateLaunchConfiguration", "DeleteLaunchConfiguration", "DescribeLaunchConfigurations"}
"""What moto answers of Auto Scaling: old accounts have launch configurations. No group of ours takes one."""
NOT_HERE = (
    "CreateImage",
    "CreateSnapshots",
    "CreateSnapshot",
    "ImportSnapshot",
    "ImportImage",
    "ModifySnapshotAttribute",
)


def serve(root: Path, port: int = 0) -> None:
    """Serve the cloud whose state is in `root` until SIGTERM or SIGINT; the record names the port.

    Port 0 is the one that it had last, so that what was told its address finds it again, else any free one.

    Raises InvarError when another process serves the same state, or the port is taken.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(root):
        cloud = Cloud(root)
        try:
            server = _listen_again(root, cloud.gateway) if port == 0 else _listen(port, cloud.gateway)
            record = CloudRecord(os.getpid(), ADDRESS, server.server_port, cloud.instance)
            stopping = threading.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            thread = threading.Thread(target=server.serve_forever, args=(LOOK_SECONDS,), name="server")
            thread.start()
            write_record(root, record)
            try:
                while not stopping.wait(STEP_SECONDS):
                    cloud.step()
            finally:
                server.shutdown()
                thread.join()
                server.server_close()
        finally:
            remove_record(root)
            cloud.close()


class Cloud:
    """All parts over one state directory. There can be one in a process, for moto's state is the process's.

    `compute` is called by whoever holds `lock`.
    """

    def __init__(self, root: Path, *, clock: Clock | None = None, machines: bool = True) -> None:
        """`clock` None: real time. Without `machines` every instance has to be a simulated one."""
        self.instance = secrets.token_hex(8)
        self._moto_path = root / "moto.pickle"
        self._database = Database(root / "cloud.sqlite")
        self._blocks = BlockFile(root / "blocks", _used_slots(self._database))
        self._store = SnapshotStore(self._database, self._blocks)
        self._images = ImageStore(self._database)
        clock = clock or Clock()
        self._clock = clock
        self._ebs = EbsDirect(self._store, self._database, TokenMint(_secret(self._database)), clock)
        self._ec2_snapshots = Ec2Snapshots(self._store, clock)
        self._ec2_images = Ec2Images(self._images, self._store, self._ec2_snapshots, self._database, clock)
        self._settings = Settings()
        self.faults, self._counters = FaultBook(), Counters()
        self.lock = threading.RLock()
        bases = BaseDisks(root / "disks", self._store)
        bases.sweep()
        self._hypervisor = Hypervisor(root / "machines", bases, find_qemu) if machines else None
        self.compute = Compute(moto_front.ACCOUNT, self._ec2_images, clock, self._hypervisor)
        kept = moto_front.load_state(self._moto_path)
        if kept is not None:
            self.compute.restore(kept)
        self.balancers = LoadBalancers(
            moto_front.ACCOUNT, self.compute.registry, self.compute.instances, self.compute.network, self.lock
        )
        self.compute.launcher.reserved = self.balancers.addresses
        self._install()
        controls = Controls(
            instance=self.instance,
            faults=self.faults,
            counters=self._counters,
            clock=clock,
            snapshots=self._store,
            images=self._images,
            settings=lambda: self._settings,
            set_settings=self._set_settings,
            reset=self._reset,
            compute=self.compute,
            lock=self.lock,
            changed=lambda: self._saver.soon(),
        )
        self._saver = Saver(self._save)
        self._probes = ProbeThread(self.compute.prober, self.lock, self._saver.soon) if machines else None
        self.gateway = Gateway(
            Parts(
                ebs=self._ebs,
                images=self._ec2_images,
                moto=moto_front.application(),
                control=Control(controls),
                faults=self.faults,
                counters=self._counters,
                account=moto_front.ACCOUNT,
                encrypted_by_default=moto_front.encrypted_by_default,
                changed=self._saver.soon,
                moto_lock=self.lock,
            )
        )

    def step(self) -> None:
        """Do what is due now in all regions; while the clock is frozen, nothing is."""
        with self.lock:
            if not self._clock.frozen and self.compute.step():
                self._saver.soon()
            if self._settings.real_ports:
                self.balancers.synchronise()

    def close(self) -> None:
        """End the machines, write what is not yet written and let go of the files."""
        if self._probes is not None:
            self._probes.close()
        self.balancers.close()
        if self._hypervisor is not None:
            self._hypervisor.close()
        self._saver.close()
        self._database.close()
        self._blocks.close()

    def _install(self) -> None:
        images, snapshots = self._ec2_images, self._ec2_snapshots
        operations: dict[str, moto_front.Operation] = {
            "RegisterImage": images.register_image,
            "CopyImage": images.copy_image,
            "DescribeImages": images.describe_images,
            "DescribeImageAttribute": images.describe_image_attribute,
            "ModifyImageAttribute": images.modify_image_attribute,
            "EnableImageDeprecation": images.enable_image_deprecation,
            "DisableImageDeprecation": images.disable_image_deprecation,
            "EnableImage": images.enable_image,
            "DisableImage": images.disable_image,
            "DeregisterImage": images.deregister_image,
            "DeleteSnapshot": images.delete_snapshot,
            "DescribeSnapshots": snapshots.describe_snapshots,
            "CopySnapshot": snapshots.copy_snapshot,
        }
        moto_front.replace_operations(operations | {name: _not_here(name) for name in NOT_HERE})
        for service, own in self.compute.operations().items():
            moto_front.replace_operations(own, service)
        changes = {
            "ami": images.change_tags,
            "snap": snapshots.change_tags,
            "i": self.compute.ec2.change_tags,
            "lt": self.compute.templates.change_tags,
        }
        moto_front.name_load_balancers(self.balancers.name)
        ours = set(self.compute.operations()["autoscaling"])
        refused = sorted(moto_front.operations_of("autoscaling") - ours - MOTO_AUTOSCALING)
        moto_front.replace_operations({name: _no_such(name) for name in refused}, "autoscaling")
        moto_front.replace_tags(changes, self._tags)

    def _tags(self, caller: Caller, parameters: Any) -> dict[str, Any]:
        kinds = {
            "image": self._ec2_images.tagged(caller),
            "snapshot": self._ec2_snapshots.tagged(caller),
            "instance": self.compute.ec2.tagged(caller),
            "launch-template": self.compute.templates.tagged(caller),
        }
        return {"Tags": moto_front.described_tags(kinds, parameters.get("Filters") or [])}

    def _set_settings(self, settings: Settings) -> None:
        self._settings = settings
        self._ebs.settings = self._ec2_snapshots.settings = self._ec2_images.settings = settings
        self.compute.set_settings(settings)

    def _reset(self) -> None:
        with self.lock, self._database.transaction():
            self._database.clear()
            self._blocks.clear()
            moto_front.clear_state()
            self.compute.clear()
            self.balancers.close()
        self.faults.clear()
        self._counters.clear()
        self._clock.freeze(False)
        self._ebs.forget()
        self._set_settings(Settings())
        self._saver.soon()

    def _save(self) -> None:
        with self.lock:
            moto_front.save_state(self._moto_path, self.compute.kept())


class Saver:
    """Writes state a moment after it changed, in a thread of its own, however many changes there were."""

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saver")
        self._thread.start()

    def soon(self) -> None:
        """Something changed."""
        self._changed.set()

    def close(self) -> None:
        """Write what is left and end."""
        self._closing.set()
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        dirty = False
        while True:
            self._changed.wait()
            closing = self._closing.wait(SAVE_AFTER)
            dirty = self._changed.is_set()
            self._changed.clear()
            if dirty:
                self._save()
            if closing:
                return


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvarError(
                "this local cloud is already running", where=str(root), hint="stop it, or give another --root"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _listen_again(root: Path, application: Application) -> Server:
    """Listen on the last port if it is free, else on any; remember which."""
    last = root / LAST_PORT
    try:
        server = _listen(int(last.read_text()), application)
    except (FileNotFoundError, ValueError, InvarError):
        server = _listen(0, application)
    last.write_text(str(server.server_port))
    return server


def _listen(port: int, application: Application) -> Server:
    try:
        with Path(os.devnull).open("w") as devnull, _stderr_to(devnull):
            return Server(ADDRESS, port, application)
    except (OSError, SystemExit) as error:
        raise InvarError(
            f"cannot listen on {ADDRESS}:{port}",
            why=str(error) if isinstance(error, OSError) else "the port is taken",
            hint="give another --port, or 0 for any free one",
        ) from None


@contextmanager
def _stderr_to(file: Any) -> Iterator[None]:
    """werkzeug prints advice about taken ports before it exits."""
    kept, sys.stderr = sys.stderr, file
    try:
        yield
    finally:
        sys.stderr = kept


def find_qemu() -> QemuInstall:
    """This user's QEMU. Raises InvarError."""
    return own_qemu(Home.from_environment())


def _used_slots(database: Database) -> set[int]:
    with database.transaction() as rows:
        return {slot for (slot,) in rows.execute("SELECT slot FROM blocks")}


def _secret(database: Database) -> bytes:
    with database.transaction() as rows:
        rows.execute("INSERT OR IGNORE INTO secrets VALUES ('tokens', ?)", (secrets.token_bytes(32),))
        key: bytes = rows.execute("SELECT value FROM secrets WHERE name = 'tokens'").fetchone()[0]
    return key


def _no_such(name: str) -> moto_front.Operation:
    def refuse(caller: Caller, parameters: Any) -> dict[str, Any]:
        raise CloudError("UnsupportedOperation", f"The local cloud has no {name}.")

    return refuse


def _not_here(name: str) -> moto_front.Operation:
    def refuse(caller: Caller, parameters: Any) -> dict[str, Any]:
        raise CloudError(
            "UnsupportedOperation", f"The local cloud has no {name}: it makes snapshots by EBS direct only."
        )

    return refuse
