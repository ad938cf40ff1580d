"""Images as EC2 would tell of them, for deciders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from invar.aws.images import ImageRecord

WHOLE = ImageRecord(
    id="ami-0",
    region="us-east-1",
    name="invar-web",
    state="available",
    reason="",
    owner="123456789012",
    architecture="x86_64",
    boot_mode="uefi",
    snapshots=("snap-1",),
    created=0.0,
    deprecation=None,
    source_image=None,
    tags={},
)


def image(generation: int = 1, *, configuration: str = "web", system: str | None = None, **fields: Any) -> ImageRecord:
    """An image of a generation; further fields as ImageRecord has them."""
    tags = {
        "invar:configuration": configuration,
        "invar:generation": str(generation),
        "invar:system": system or f"{generation:064x}",
        "invar:blocks": "b" * 64,
        "invar:record": f"{generation:064d}",
    }
    return replace(WHOLE, **{"id": f"ami-{generation:08x}", "tags": tags, **fields})
