"""Which proxies an environment names."""

from __future__ import annotations

from collections.abc import Mapping


def read_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """The proxies an environment names: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in either case."""
    found: dict[str, str] = {}
    for scheme in ("http", "https", "no"):
        for name in (f"{scheme}_proxy", *(("all_proxy",) if scheme != "no" else ())):
            value = environment.get(name) or environment.get(name.upper())
            if value:
                found.setdefault(scheme, value)
    return found
