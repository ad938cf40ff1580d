"""The bill of materials of whatever names an image: a configuration, an image file, a digest."""

from __future__ import annotations

from invar.core.errors import InvarError
from invar.engines.native import NativeEngine
from invar.fleet.subjects import image_directory
from invar.image.documents import CYCLONEDX_FILE, SPDX_FILE

FILES = {"spdx": SPDX_FILE, "cyclonedx": CYCLONEDX_FILE}
"""By the name of the form."""


def bill_of_materials(name: str, form: str, engine: NativeEngine) -> bytes:
    """The document in a form of `FILES` that lies beside an image; a configuration is built first.

    Raises InvarError when there is nothing of that name, or no document beside it.
    """
    directory = image_directory(name, engine.store)
    if directory is None:
        directory = engine.build(engine.project(name), "amazon").artifact.directory
    place = directory / FILES[form]
    try:
        return place.read_bytes()
    except FileNotFoundError:
        raise InvarError(
            f"there is no bill of materials beside the image {name}",
            where=str(directory),
            hint="it was made by an earlier Invar: build it again",
        ) from None
