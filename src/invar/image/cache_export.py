"""An image's parts into a build cache, from which instances fetch the system and switch to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from invar.core.events import Report
from invar.image.assemble import Image
from invar.image.publication import (
    BootFile,
    Publication,
    configuration_document,
    configuration_path,
    initrd_path,
    kernel_path,
    published,
)
from invar.store.build_cache import BuildCache

Signer = Callable[[bytes], bytes]
"""A text that ends with a line feed, with a signature in a further line."""


@dataclass(frozen=True, slots=True)
class Exported:
    """`names` are all files of the system in the cache, `written` those that were not there; `bytes` are theirs."""

    digest: str
    names: tuple[str, ...]
    written: tuple[str, ...]
    bytes: int


def publication_of(image: Image) -> Publication:
    """What a cache says of an image's system."""
    return published(
        image.cmdline.partition(" ")[2],
        BootFile(image.kernel_sha256, image.kernel.stat().st_size),
        BootFile(image.initrd_sha256, image.initrd.stat().st_size),
    )


def export_to_cache(
    image: Image, configuration_digest: str, cache: BuildCache, sign: Signer | None, report: Report
) -> Exported:
    """Put an image's system into a cache, its parts first: a manifest that is there has its parts.

    `configuration_digest` (system/identity.py) is what instances ask for by configuration. The same answer to that,
    signed, is not written over by one without a signature. Raises InvarError.
    """
    publication = publication_of(image)
    files = {
        publication.packages.path: image.packages.image,
        publication.config.path: image.config.image,
        kernel_path(publication.kernel): image.kernel,
        initrd_path(publication.initrd): image.initrd,
    }
    with report.stage("build cache") as stage:
        written = [name for name, source in files.items() if cache.put_file(name, source)]
        answer = configuration_document(configuration_digest, publication.digest)
        place = cache.path(configuration_path(configuration_digest))
        if sign is not None:
            answer = sign(answer)
        elif place.exists() and place.read_bytes().startswith(answer):
            answer = place.read_bytes()
        texts = {publication.path: publication.to_json(), configuration_path(configuration_digest): answer}
        written += [name for name, content in texts.items() if cache.put(name, content)]
        stage.cached = not written
    size = sum(cache.path(name).stat().st_size for name in written)
    return Exported(publication.digest, (*files, *texts), tuple(written), size)
