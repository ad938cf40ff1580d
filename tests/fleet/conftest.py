"""The fixtures of every room that talks to a cloud."""

from cloud_fixtures import (
    cloud,
    cloud_root,
    controlled,
    events,
    journals,
    make_image,
    no_other_configuration,
    record,
    report,
    running,
)

__all__ = [
    "cloud",
    "cloud_root",
    "controlled",
    "events",
    "journals",
    "make_image",
    "no_other_configuration",
    "record",
    "report",
    "running",
]
