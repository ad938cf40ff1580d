"""`resource "invar_image"`: a configuration's image, built and published to every region.

A new digest is an update in place: the old images stay, and stay in the state, until the new ones are there.
"""

from __future__ import annotations

import re
from typing import Any

from invar.core.errors import InvarError
from invar.terraform.diagnostics import Diagnostic, Refused, of_error
from invar.terraform.regions import REGION, not_enabled, region_faults
from invar.terraform.resource import Change, Context, Values
from invar.terraform.schema import BOOL, NUMBER, STRING, STRING_MAP, STRINGS, Attribute, Schema
from invar.terraform.values import UNKNOWN, Unknown, is_known
from invar.terraform.work import Job, run

ACCOUNT = re.compile(r"\d{12}")
ON_DESTROY = ("retain", "delete")
ENGINES = ("native", "nix")
OF_SYSTEM = ("name", "system_digest", "spec_digest", "lock_digest")
OF_PUBLISHING = ("generation", "amis", "snapshots", "commit")
SHOWN = 12

SCHEMA = Schema(
    "Builds a configuration and publishes its image as an AMI in every region.",
    (
        Attribute("configuration", STRING, "A directory, a `.nix` file or a flake's output.", required=True),
        Attribute("engine", STRING, '`"native"` or `"nix"`; default: as the flake says.', optional=True),
        Attribute("regions", STRINGS, "Where to. The first takes the upload, the others get copies.", required=True),
        Attribute("share_with", STRINGS, "Accounts (12 digits) that may launch the image.", optional=True),
        Attribute("organizations", STRINGS, "ARNs of organizations or units that may launch it.", optional=True),
        Attribute("encrypted", BOOL, "Encrypt with the account's default key.", optional=True, default=False),
        Attribute("kms_keys", STRING_MAP, "Region → ARN of the key to encrypt with there.", optional=True),
        Attribute("volume_size", NUMBER, "Root volume in GiB; default: the image's own size.", optional=True),
        Attribute("iops", NUMBER, "Of the gp3 root volume; default 3000.", optional=True),
        Attribute("throughput", NUMBER, "Of the root volume in MiB/s; default 125.", optional=True),
        Attribute("deprecate_after_days", NUMBER, "Deprecate the image so long after its making.", optional=True),
        Attribute("on_destroy", STRING, '`"retain"` the images, or `"delete"` them.', optional=True, default="retain"),
        Attribute("id", STRING, "The system digest.", computed=True),
        Attribute("name", STRING, "The configuration's name.", computed=True),
        Attribute("system_digest", STRING, "What instances prove that they run; known at plan.", computed=True),
        Attribute("spec_digest", STRING, "The identity of the evaluated configuration.", computed=True),
        Attribute("lock_digest", STRING, "The identity of the locked packages.", computed=True),
        Attribute("generation", NUMBER, "The image's number in its configuration's line.", computed=True),
        Attribute("amis", STRING_MAP, "Region → AMI id.", computed=True),
        Attribute("snapshots", STRING_MAP, "Region → snapshot id.", computed=True),
        Attribute("commit", STRING, "The commit that it was first published from, if any.", computed=True),
    ),
)  # fmt: skip


class ImageResource:
    """Builds at plan, so that the digest is known then; publishes at apply."""

    schema = SCHEMA

    def validate(self, config: Values) -> tuple[Diagnostic, ...]:
        """Regions, accounts, sizes and words, as far as they are known."""
        return tuple(_faults(config))

    def read(self, context: Context, state: Values) -> Change:
        """Which of the images are still there. None of them: the resource is gone."""
        regions = list(state["amis"] or {})
        wanted = {"system_digest": state["system_digest"]}
        arguments = {"name": state["name"], "regions": regions, "wanted": wanted}
        found = run(context, Job("find", arguments, f"image {state['name']} read")).result
        if not found:
            return Change(None)
        amis = {region: image["ami"] for region, image in found.items()}
        snapshots = {region: image["snapshot"] for region, image in found.items()}
        return Change({**state, "amis": amis, "snapshots": snapshots})

    def plan(self, context: Context, prior: Values | None, proposed: Values) -> Change:
        """Build, and say whether anything must be published."""
        if isinstance(proposed["configuration"], Unknown) or isinstance(proposed["engine"], Unknown):
            return Change({**proposed, **dict.fromkeys((*OF_SYSTEM, *OF_PUBLISHING, "id"), UNKNOWN)})
        place = proposed["configuration"]
        arguments = {"configuration": place, "engine": proposed["engine"]}
        system = run(context, Job("build", arguments, f"image {place} plan", ("configuration",))).result
        planned = {**proposed, **system, "id": system["system_digest"]}
        if not (prior and self._holds(prior, planned)):
            planned |= dict.fromkeys(OF_PUBLISHING, UNKNOWN)
            if is_known(proposed["regions"]):
                enabled = run(context, Job("regions", {}, "regions", ("regions",))).result
                places = {region: ("regions", index) for index, region in enumerate(proposed["regions"])}
                faults = not_enabled(places, enabled)
                if faults:
                    raise Refused(*faults)
        return Change(planned)

    def apply(self, context: Context, prior: Values | None, planned: Values) -> Change:
        """Publish. Where a region fails, what was there before stays in the state, and the next apply goes on."""
        destination = {
            "regions": planned["regions"],
            "accounts": planned["share_with"] or [],
            "organizations": planned["organizations"] or [],
            "encrypted": planned["encrypted"],
            "kms_keys": planned["kms_keys"] or {},
            "volume_gib": planned["volume_size"],
            "iops": planned["iops"],
            "throughput": planned["throughput"],
            "deprecate_after_days": planned["deprecate_after_days"],
        }
        place = planned["configuration"]
        arguments = {
            "configuration": place,
            "engine": planned["engine"],
            "system_digest": None if isinstance(planned["system_digest"], Unknown) else planned["system_digest"],
            "destination": destination,
        }
        try:
            answer = run(context, Job("publish", arguments, f"image {place} apply", ("configuration",)))
        except Refused as refused:
            return Change(prior, refused.diagnostics)
        done: dict[str, Any] = answer.result
        failed: dict[str, Any] = done.pop("failed")
        if failed:
            told = (_region_failed(planned, done["amis"], region, failed[region], answer.log) for region in failed)
            return Change(prior, tuple(told))
        return Change({**planned, **done, "id": done["system_digest"]})

    def delete(self, context: Context, prior: Values) -> tuple[Diagnostic, ...]:
        """Deregister the images and delete their snapshots, or leave them."""
        amis = prior["amis"] or {}
        if prior["on_destroy"] != "delete":
            there = ", ".join(f"{ami} ({region})" for region, ami in sorted(amis.items()))
            told = Diagnostic("The images stay", f'on_destroy is "retain": {there}', warning=True)
            return (told,) if amis else ()
        try:
            run(context, Job("delete", {"name": prior["name"], "amis": amis}, f"image {prior['name']} destroy"))
        except Refused as refused:
            return refused.diagnostics
        return ()

    def found(self, context: Context, identity: str) -> Values:
        """`NAME:REGION[,REGION...]` or `NAME:DIGEST-OR-GENERATION:REGION[,...]`. Raises InvarError."""
        name, *middle, listed = identity.split(":")
        regions = listed.split(",")
        if len(middle) > 1 or not name or not all(map(REGION.fullmatch, regions)):
            raise InvarError(
                f"{identity!r} names no image",
                hint="write NAME:REGION,REGION or NAME:DIGEST:REGION,REGION (or a generation for DIGEST)",
            )
        wanted = (
            {"generation" if middle[0].isdecimal() and len(middle[0]) < SHOWN else "system_digest": middle[0]}
            if middle
            else {}
        )
        arguments = {"name": name, "regions": regions, "wanted": wanted}
        images = run(context, Job("find", arguments, f"image {name} import")).result
        missing = [region for region in regions if region not in images]
        digests = {image["system_digest"] for image in images.values()}
        if missing or len(digests) != 1:
            why = (
                f"none in {', '.join(missing)}"
                if missing
                else f"the regions differ: {', '.join(sorted(map(str, digests)))}"
            )
            raise InvarError(f"there is no image {identity!r}", why=why, hint=f"`invar images {name}` lists them")
        one = images[regions[0]]
        return SCHEMA.with_defaults(
            {
                **{key: one[key] for key in ("system_digest", "spec_digest", "lock_digest", "generation", "commit")},
                "id": one["system_digest"],
                "name": name,
                "regions": regions,
                "amis": {region: images[region]["ami"] for region in regions},
                "snapshots": {region: images[region]["snapshot"] for region in regions},
            }
        )

    def _holds(self, prior: Values, planned: Values) -> bool:
        """Whether what was published is all that is asked for now."""
        inputs = SCHEMA.inputs(planned)
        if not is_known(inputs) or prior["system_digest"] != planned["system_digest"]:
            return False
        before = {**SCHEMA.inputs(prior), **_UNPUBLISHED}
        return before == {**inputs, **_UNPUBLISHED} and set(prior["amis"] or {}) >= set(planned["regions"])


_UNPUBLISHED = dict.fromkeys(("on_destroy", "configuration", "engine"))
"""Inputs that are of no weight for what was published: the digest tells what configuration and engine gave."""


def _faults(config: Values) -> list[Diagnostic]:
    regions = config["regions"]
    faults = [*region_faults(regions)]
    accounts = config["share_with"]
    for index, account in enumerate(accounts if isinstance(accounts, list) else ()):
        if isinstance(account, str) and not ACCOUNT.fullmatch(account):
            faults.append(Diagnostic(f"{account!r} is no account", "It has 12 digits.", ("share_with", index)))
    keys = config["kms_keys"]
    for region in keys if isinstance(keys, dict) and isinstance(regions, list) and is_known(regions) else ():
        if region not in regions:
            faults.append(Diagnostic(f"A key for {region}, which is none of the regions", "", ("kms_keys", region)))
    word = config["on_destroy"]
    if isinstance(word, str) and word not in ON_DESTROY:
        faults.append(Diagnostic(f"on_destroy is {word!r}", 'Write "retain" or "delete".', ("on_destroy",)))
    engine = config["engine"]
    if isinstance(engine, str) and engine not in ENGINES:
        faults.append(Diagnostic(f"engine is {engine!r}", 'Write "native" or "nix".', ("engine",)))
    for name, least in (("volume_size", 1), ("iops", 3000), ("throughput", 125), ("deprecate_after_days", 1)):
        value = config[name]
        # What fits no machine number comes as text.
        if isinstance(value, str) or (isinstance(value, (int, float)) and (value < least or value != int(value))):
            faults.append(Diagnostic(f"{name} is {value}", f"It is a whole number of at least {least}.", (name,)))
    return faults


def _region_failed(planned: Values, amis: dict[str, str], region: str, error: dict[str, Any], log: str) -> Diagnostic:
    told = of_error(InvarError(**error), ("regions", planned["regions"].index(region)), log)
    there = ", ".join(f"{ami} ({name})" for name, ami in amis.items())
    note = f"\nPublished all the same: {there}. Apply again to finish." if there else "\nApply again to finish."
    return Diagnostic(f"{region}: {told.summary}", told.detail + note, told.attribute)
