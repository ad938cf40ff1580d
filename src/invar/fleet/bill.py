"""The bill of materials of whatever names an image: a configuration, an image file, a digest."""

from __future__ import annotations

from invar.core.errors import InvarError
from invar.engines.choice import Engines
from invar.fleet.subjects import image_directory
from invar.image.documents import CYCLONEDX_FILE, SPDX_FILE

FILES = {"spdx": SPDX_FILE, "cyclonedx": CYCLONEDX_FILE}
"""By the name of the form."""


def bill_of_materials(name: str, form: str, engines: Engines) -> bytes:
    """The document in a form of `FILES` that lies beside an image; a configuration is built first.

    Raises InvarError when there is nothing of that name, or no document beside it.
    """
    native = engines.native
    directory = image_directory(name, native.store)
    if directory is None and engines.of(name) == "nix":
        nix = engines.open_nix()
        directory = nix.directory(nix.image(name, engines.attribute))
    if directory is None:
        directory = native.build(native.project(name), "amazon").artifact.directory
    place = directory / FILES[form]
    try:
        return place.read_bytes()
    except FileNotFoundError:
        raise InvarError(
            f"there is no bill of materials beside the image {name}",
            where=str(directory),
            hint="it was made by an earlier Invar: build it again",
        ) from None
