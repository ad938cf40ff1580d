"""The control API of the local cloud, JSON over HTTP under /_invar/ on the cloud's own port.

    GET    /_invar/health                                      who answers: {"instance": ..., "pid": ...}
    GET    /_invar/state                                       counts, snapshots, images, faults, settings
    POST   /_invar/faults      {"operation": ..., ...}         put a fault in force (faults.Fault)
    DELETE /_invar/faults                                      no more faults, throttling or regions down
    POST   /_invar/throttle    {"operation": ..., "rate": 50}  calls a second in each region; null: no limit
    POST   /_invar/regions     {"region": ..., "down": true}   a region goes away, or comes back
    POST   /_invar/settings    {"copy_seconds": 2, ...}        change settings (settings.Settings)
    POST   /_invar/clock       {"advance": 3600}               the cloud's clock goes forward, in seconds
    POST   /_invar/clock       {"frozen": true}                it goes forward on request only; false: by itself again
    POST   /_invar/behaviours  {"group": ..., "behaviour": {"never_boots": true}}   of later launches (behaviour.Rule)
    DELETE /_invar/behaviours                                  later launches behave
    POST   /_invar/behave      {"instance": ..., "behaviour": {...}}   of a running simulated instance (Behaviour)
    POST   /_invar/alter       {"snapshot": ..., "block": 3, "offset": 0}   flip one byte of a stored block
    DELETE /_invar/counters                                    count calls from nothing
    POST   /_invar/reset                                       forget everything

Errors answer 400 with {"error": text}.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from invar.localcloud.behaviour import Behaviour, Rule
from invar.localcloud.clock import Clock
from invar.localcloud.compute import Compute
from invar.localcloud.errors import Answer
from invar.localcloud.faults import Counters, Fault, FaultBook
from invar.localcloud.images import ImageStore
from invar.localcloud.settings import Settings
from invar.localcloud.snapshots import SnapshotStore


@dataclass(frozen=True, slots=True)
class Controls:
    """What the control API can reach. `settings` reads them, `set_settings` puts new ones in force."""

    instance: str
    faults: FaultBook
    counters: Counters
    clock: Clock
    snapshots: SnapshotStore
    images: ImageStore
    settings: Callable[[], Settings]
    set_settings: Callable[[Settings], None]
    reset: Callable[[], None]
    compute: Compute
    lock: threading.RLock
    changed: Callable[[], None]


class Control:
    """Answers the control API."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._routes: dict[tuple[str, str], Callable[[Mapping[str, Any]], Any]] = {
            ("GET", "health"): lambda _: {"instance": controls.instance, "pid": os.getpid()},
            ("GET", "state"): lambda _: self._state(),
            ("POST", "faults"): lambda body: controls.faults.add(Fault.from_data(body)),
            ("DELETE", "faults"): lambda _: controls.faults.clear(),
            ("POST", "throttle"): lambda body: controls.faults.throttle(body["operation"], body["rate"]),
            ("POST", "regions"): lambda body: controls.faults.set_region(body["region"], down=bool(body["down"])),
            ("POST", "settings"): lambda body: controls.set_settings(controls.settings().changed(body)),
            ("POST", "clock"): self._clock,
            ("POST", "behaviours"): lambda body: controls.compute.behaviours.rules.append(Rule.from_data(body)),
            ("DELETE", "behaviours"): lambda _: controls.compute.behaviours.rules.clear(),
            ("POST", "behave"): self._behave,
            ("POST", "alter"): self._alter,
            ("DELETE", "counters"): lambda _: controls.counters.clear(),
            ("POST", "reset"): lambda _: controls.reset(),
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Do one call."""
        route = self._routes.get((method, path.removeprefix("/_invar/")))
        if route is None:
            return _json(404, {"error": f"no {method} {path}; see invar/localcloud/control.py"})
        try:
            sent = json.loads(body) if body else {}
            if not isinstance(sent, dict):
                raise ValueError("the body must be a JSON object")
            return _json(200, route(sent) or {})
        except KeyError as error:
            return _json(400, {"error": f"missing or unknown: {error}"})
        except (ValueError, TypeError) as error:
            return _json(400, {"error": str(error)})

    def _state(self) -> dict[str, Any]:
        controls = self._controls
        now = controls.clock.now()
        snapshots = []
        for snapshot in controls.snapshots.everything():
            held, written = controls.snapshots.sizes(snapshot.id)
            snapshots.append(
                {
                    "id": snapshot.id,
                    "region": snapshot.region,
                    "state": snapshot.state(now),
                    "blocks": held,
                    "written": written,
                    "parent": snapshot.parent,
                    "tags": snapshot.tags,
                }
            )
        return {
            "counters": controls.counters.told(),
            "settings": asdict(controls.settings()),
            "snapshots": snapshots,
            "instances": self._instances(now),
            "images": [
                {
                    "id": one.id,
                    "region": one.region,
                    "name": one.name,
                    "state": one.state(now),
                    "snapshots": one.snapshots,
                }
                for one in controls.images.everything()
            ],
            **controls.faults.told(),
        }

    def _clock(self, body: Mapping[str, Any]) -> dict[str, Any]:
        controls = self._controls
        with controls.lock:
            if "frozen" in body:
                controls.clock.freeze(bool(body["frozen"]))
            now = controls.compute.advance(float(body.get("advance", 0.0)))
        controls.changed()
        return {"now": now, "frozen": controls.clock.frozen}

    def _behave(self, body: Mapping[str, Any]) -> None:
        with self._controls.lock:
            for instance in self._controls.compute.instances.everything():
                if instance.id == body["instance"]:
                    self._controls.compute.lifecycle.behave(instance, Behaviour.from_data(body.get("behaviour", {})))
                    return
        raise ValueError(f"there is no instance {body['instance']}")

    def _instances(self, now: float) -> list[dict[str, Any]]:
        return [
            {
                "id": one.id,
                "region": one.region,
                "kind": one.kind,
                "state": one.state,
                "status": one.status(now),
                "image": one.image,
                "address": one.address,
                "group": one.group,
                "closed_ports": list(one.closed_ports),
                "reason": one.reason[1] if one.reason else None,
            }
            for one in self._controls.compute.instances.everything()
        ]

    def _alter(self, body: Mapping[str, Any]) -> None:
        identity, position, offset = str(body["snapshot"]), int(body["block"]), int(body.get("offset", 0))
        block = self._controls.snapshots.read(identity, position)
        if block is None:
            raise ValueError(f"{identity} holds no block {position}")
        data = bytearray(block[0])
        data[offset] ^= 0xFF
        self._controls.snapshots.replace_block(identity, position, bytes(data))


def _json(status: int, value: Any) -> Answer:
    return Answer(status, (("Content-Type", "application/json"),), json.dumps(value).encode())
