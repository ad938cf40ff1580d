"""One round of a selector whose keys carry a callable that takes the ready mask."""

from __future__ import annotations

import selectors


def dispatch(selector: selectors.BaseSelector, seconds: float | None) -> None:
    """Wait at most `seconds` (None: until something is ready) and call what is registered for everything that is ready.

    What one callable unregistered, because of the other or by closing it, is not called in the same round any more.
    """
    for key, mask in selector.select(seconds):
        now = selector.get_map().get(key.fd)
        if now is not None and now.fileobj is key.fileobj:
            now.data(mask)
