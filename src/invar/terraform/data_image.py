"""`data "invar_image"`: a published image, by its configuration's name and, if wanted, digest, generation or commit."""

from __future__ import annotations

from invar.core.errors import InvarError
from invar.terraform.diagnostics import Diagnostic, Refused, of_error
from invar.terraform.regions import region_faults
from invar.terraform.resource import Change, Context, Values
from invar.terraform.schema import NUMBER, STRING, STRING_MAP, STRINGS, Attribute, Schema
from invar.terraform.work import Job, run

WAYS = ("system_digest", "generation", "commit")

SCHEMA = Schema(
    "Finds a published image. Of several that fit, the newest generation is taken.",
    (
        Attribute("name", STRING, "The configuration's name.", required=True),
        Attribute("regions", STRINGS, "Where it has to be.", required=True),
        Attribute("system_digest", STRING, "The digest, or how it begins.", optional=True, computed=True),
        Attribute("generation", NUMBER, "The number of the generation.", optional=True, computed=True),
        Attribute("commit", STRING, "The commit, or how it begins.", optional=True, computed=True),
        Attribute("id", STRING, "The system digest.", computed=True),
        Attribute("spec_digest", STRING, "The identity of the evaluated configuration.", computed=True),
        Attribute("lock_digest", STRING, "The identity of the locked packages.", computed=True),
        Attribute("amis", STRING_MAP, "Region → AMI id.", computed=True),
        Attribute("snapshots", STRING_MAP, "Region → snapshot id.", computed=True),
    ),
)


class ImageData:
    """Looks for the image in every region."""

    schema = SCHEMA

    def validate(self, config: Values) -> tuple[Diagnostic, ...]:
        """Regions, as far as they are known."""
        return tuple(region_faults(config["regions"]))

    def read(self, context: Context, config: Values) -> Change:
        """Find. Raises Refused when a region has no such image, or not the same as the others."""
        name, regions = config["name"], list(dict.fromkeys(config["regions"]))
        wanted = {way: config[way] for way in WAYS if config[way] is not None}
        arguments = {"name": name, "regions": regions, "wanted": wanted}
        images = run(context, Job("find", arguments, f"image {name} find", ("name",))).result
        asked = ", ".join(f"{way} {value}" for way, value in wanted.items())
        missing = [region for region in regions if region not in images]
        if missing:
            what = f"there is no image of {name}" + (f" with {asked}" if asked else "")
            hint = f"`invar images {name}` lists what there is; `invar publish` or `invar_image` makes one"
            error = InvarError(what, where=", ".join(missing), hint=hint)
            raise Refused(of_error(error, ("name",)))
        digests = {region: images[region]["system_digest"] for region in regions}
        if len(set(digests.values())) > 1:
            why = "\n".join(
                f"{region}: {digest} (generation {images[region]['generation']})" for region, digest in digests.items()
            )
            error = InvarError(
                f"the newest image of {name} is not the same everywhere",
                why=why,
                hint="ask for one by system_digest or generation",
            )
            raise Refused(of_error(error, ("regions",)))
        one = images[regions[0]]
        found = {key: one[key] for key in (*WAYS, "spec_digest", "lock_digest")}
        amis = {region: images[region]["ami"] for region in regions}
        snapshots = {region: images[region]["snapshot"] for region in regions}
        return Change({**config, **found, "id": one["system_digest"], "amis": amis, "snapshots": snapshots})
