"""The packages that a flake's configurations see, which are known only once it is clear which lock they have."""

from __future__ import annotations

from invar.nixos.names import EmptyUniverse, Universe


class DeferredUniverse:
    """Stands for a universe that is bound later. Asked before that, it is an empty one, for good."""

    def __init__(self) -> None:
        self._bound: Universe | None = None

    def bind(self, universe: Universe) -> bool:
        """Stand for `universe` from now on. False when answers of another one have been given already."""
        if self._bound is None:
            self._bound = universe
        return self._bound is universe

    def version(self, name: str) -> str | None:
        """The version of a Debian package."""
        return self._asked().version(name)

    def digest(self, name: str) -> str | None:
        """The SHA-256 of a .deb."""
        return self._asked().digest(name)

    def _asked(self) -> Universe:
        if self._bound is None:
            self._bound = EmptyUniverse()
        return self._bound
