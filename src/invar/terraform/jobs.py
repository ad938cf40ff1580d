"""What the provider has done in a process of its own: JSON in, JSON out, over the engine and the fleet's verbs."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import invar
from invar.aws.client import Cloud
from invar.aws.image_users import image_uses
from invar.aws.images import ImageRecord, deregister_image, find_images
from invar.aws.parameters import delete_parameter, get_parameter
from invar.aws.regions import enabled_regions
from invar.aws.snapshots import delete_snapshot
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.debian.lock import read_lock
from invar.engines.choice import EngineName, Engines
from invar.engines.engine import BuiltImage
from invar.engines.native import NativeEngine
from invar.engines.nix import NixEngine
from invar.fleet.build import build_artifact
from invar.fleet.publish import Destination, Published, parameter_name, publish
from invar.fleet.regions import Outcomes, everywhere
from invar.fleet.tags import COMMIT, CONFIGURATION, LOCK, SPEC, SYSTEM, generation_of
from invar.fleet.user_data import check
from invar.nix.builtins.data import to_json
from invar.nixos.configuration import Configuration
from invar.system.user_data import PublicKey


@dataclass(frozen=True, slots=True)
class Bench:
    """What every job works with."""

    home: Home
    report: Report
    account: Mapping[str, str | None]
    mirrors: tuple[str, ...]

    @property
    def engine(self) -> NativeEngine:
        """The native engine of this user's home."""
        return NativeEngine(self.home, self.report, mirrors=self.mirrors, environment=os.environ)

    def engines(self, option: EngineName | None) -> Engines:
        """Both engines; without an `option` the flake decides."""
        native = self.engine
        nix = partial(NixEngine, self.home, native.store, self.report, environment=os.environ)
        return Engines(native, nix, option)

    @property
    def cloud(self) -> Cloud:
        """The account of the provider block. Raises InvarError without credentials."""
        cloud = Cloud(profile=self.account["profile"], endpoint_url=self.account["endpoint_url"])
        cloud.require_credentials()
        return cloud


def evaluate(bench: Bench, configuration: str, options: list[str]) -> dict[str, Any]:
    """The computed attributes of `invar_system`. Raises InvarError, also for an option that there is not."""
    engine = bench.engine
    project = engine.project(configuration)
    found: dict[str, Any] = {}

    def show(evaluated: Configuration) -> str:
        for option in options:
            found[option] = to_json(evaluated.attribute(option), None)
        return ""

    if options:
        engine.value(project, show)
    system = engine.evaluate(project).system
    lock = read_lock(project.lock) if project.lock.exists() else None
    return {
        "id": system.spec_digest,
        "spec_digest": system.spec_digest,
        "lock_digest": None if lock is None else lock.digest,
        "name": system.name,
        "host_name": system.host_name,
        "architecture": system.architecture,
        "packages": {name: (lock.version(name) if lock else None) or "" for name in system.packages},
        "values": found,
    }


def build(bench: Bench, configuration: str, engine: EngineName | None) -> dict[str, Any]:
    """What a plan tells of an image: its identity. The image is in the store afterwards."""
    engines = bench.engines(engine)
    if engines.of(configuration) == "nix":
        return _identity(engines.nix_image(configuration))
    return _identity(engines.native.image(configuration))


def regions(bench: Bench) -> list[str]:
    """The regions that the account can use. Raises InvarError."""
    return enabled_regions(bench.cloud)


def check_user_data(bench: Bench, encoded: str, image: str | None, trusted_keys: list[str]) -> dict[str, Any]:
    """The computed attributes of `invar_user_data`, of bytes in base64. Raises InvarError."""
    trusted = [PublicKey.parse(key) for key in trusted_keys]
    beside = None if image is None else Path(image)
    checked = check(b64decode(encoded), beside, bench.engine, where="user data", trusted=trusted)
    return {
        "kind": checked.kind,
        "bytes": checked.bytes,
        "signed_by": checked.signed_by,
        "spec_digest": checked.spec_digest,
    }


def publish_image(
    bench: Bench, configuration: str, engine: EngineName | None, system_digest: str | None, destination: dict[str, Any]
) -> dict[str, Any]:
    """Publish what was planned. `failed` maps regions to errors, as dicts.

    `system_digest` is None where the plan did not know the configuration yet. Raises InvarError when the configuration
    no longer builds `system_digest`, or when nothing could be published.
    """
    engines, cloud = bench.engines(engine), bench.cloud
    artifact = build_artifact(configuration, engines, bench.report)
    identity = artifact.identity
    if system_digest is not None and identity.system_digest != system_digest:
        raise InvarError(
            "the configuration has changed since it was planned",
            where=configuration,
            why=f"planned {system_digest}\nbuilt   {identity.system_digest}",
            hint="plan and apply again",
        )
    days = destination.pop("deprecate_after_days", None)
    to = Destination(**destination, deprecate_after=None if days is None else timedelta(days=days))
    done = publish(cloud, artifact, to, engines.native.store, bench.report, version=invar.__version__)
    told = {name: getattr(identity, name) for name in ("system_digest", "spec_digest", "lock_digest")}
    return {"name": identity.configuration, **told, **published(done)}


def find(bench: Bench, name: str, regions: list[str], wanted: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The newest available image of a configuration in each region, with the tags' attributes, that has what is wanted:
    any of `system_digest`, `generation` and `commit`. A region that has none is left out. Raises InvarError.
    """
    cloud = bench.cloud
    tags = {CONFIGURATION: name}
    outcomes = everywhere(regions, lambda region: find_images(cloud, region, tags=tags))
    raise_first(outcomes)
    found = {}
    for region, images in outcomes.done.items():
        fit = [image for image in images if image.state == "available" and _has(image, wanted)]
        if fit:
            found[region] = described(max(fit, key=lambda image: (generation_of(image.tags), image.created)))
    return found


def delete(bench: Bench, name: str, amis: dict[str, str]) -> None:
    """Deregister a configuration's images, one a region, and delete their snapshots.

    The parameter that names the newest image goes with it. Raises InvarError, before any is deleted, when anything else
    uses one of them.
    """
    cloud = bench.cloud
    own = parameter_name(name)

    def users(region: str) -> list[str]:
        return [
            f"{amis[region]} ({region}): {use.kind} {use.name}"
            for use in image_uses(cloud, region)
            if use.image == amis[region] and (use.kind, use.name) != ("parameter", own)
        ]

    def remove(region: str) -> None:
        parameter = get_parameter(cloud, region, own)
        if parameter is not None and parameter.value == amis[region]:
            delete_parameter(cloud, region, own)
        for snapshot in deregister_image(cloud, region, amis[region]):
            delete_snapshot(cloud, region, snapshot)

    found = everywhere(list(amis), users)
    raise_first(found)
    used = [line for region in amis for line in found.done[region]]
    if used:
        hint = 'move its users to another image first, or set on_destroy = "retain"'
        raise InvarError("the image is in use", why="\n".join(used), hint=hint)
    raise_first(everywhere(list(amis), remove))


def raise_first(outcomes: Outcomes[Any]) -> None:
    """Raise the first region's error, if there is one."""
    for error in outcomes.failed.values():
        raise error


def published(done: Published) -> dict[str, Any]:
    """A publish as attributes: where it is, and where it failed."""
    return {
        "generation": done.generation,
        "amis": {region: image.id for region, image in done.images.items()},
        "snapshots": {region: image.snapshots[0] for region, image in done.images.items()},
        "commit": next((image.tags.get(COMMIT) for image in done.images.values()), None),
        "failed": {
            region: {"what": error.what, "where": error.where, "why": error.why, "hint": error.hint}
            for region, error in done.failed.items()
        },
    }


def described(image: ImageRecord) -> dict[str, Any]:
    """One image by its tags."""
    return {
        "ami": image.id,
        "snapshot": image.snapshots[0] if image.snapshots else None,
        "generation": generation_of(image.tags),
        "system_digest": image.tags.get(SYSTEM),
        "spec_digest": image.tags.get(SPEC),
        "lock_digest": image.tags.get(LOCK),
        "commit": image.tags.get(COMMIT),
    }


def _has(image: ImageRecord, wanted: Mapping[str, Any]) -> bool:
    of_image = described(image)
    for name, value in wanted.items():
        text = str(of_image[name] or "")
        if not (text == str(value) if name == "generation" else text.startswith(str(value))):
            return False
    return True


def _identity(built: BuiltImage) -> dict[str, Any]:
    return {
        "name": built.name,
        "system_digest": built.system_digest,
        "spec_digest": built.spec_digest,
        "lock_digest": built.lock_digest,
    }


JOBS: dict[str, Callable[..., Any]] = {
    "evaluate": evaluate,
    "build": build,
    "regions": regions,
    "check_user_data": check_user_data,
    "publish": publish_image,
    "find": find,
    "delete": delete,
}
