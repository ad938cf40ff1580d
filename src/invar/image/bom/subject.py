"""What a bill of materials is of: an image, by its digests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from invar.core.canonical import digest
from invar.image.assemble import Image
from invar.image.bom.components import Component
from invar.system.record import plain


@dataclass(frozen=True, slots=True)
class ImageSubject:
    """An image. `date` is the lock's (ISO 8601, UTC), `version` Invar's; digests are lower-case hex."""

    name: str
    architecture: str
    system_digest: str
    spec_digest: str
    lock_digest: str
    packages_root: str
    config_root: str
    date: str
    version: str

    @classmethod
    def of(cls, image: Image, *, lock_digest: str, date: str, version: str) -> ImageSubject:
        """The subject that an image is."""
        return cls(
            name=image.base_name,
            architecture=image.architecture,
            system_digest=image.system_digest,
            spec_digest=image.spec_digest,
            lock_digest=lock_digest,
            packages_root=image.packages.root_hash,
            config_root=image.config.root_hash,
            date=date,
            version=version,
        )

    def properties(self) -> Iterator[tuple[str, str]]:
        """The image's digests by their names in documents."""
        yield "invar:system-digest", self.system_digest
        yield "invar:spec-digest", self.spec_digest
        yield "invar:lock-digest", self.lock_digest
        yield "invar:packages-root-hash", self.packages_root
        yield "invar:config-root-hash", self.config_root

    def identity(self, components: Sequence[Component]) -> str:
        """SHA-256 over subject and components: documents with other content have another identity."""
        return digest({"components": plain(components), "subject": plain(self)})
