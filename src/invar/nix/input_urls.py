"""URLs of source trees, as `fetchTree` and flakes write them, to the attributes that they stand for and back.

After "Flake references" in the manual of `nix flake`: `path:`, `git+https:`, `github:`, `flake:` ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

from invar.nix.errors import NixEvalError
from invar.nix.fetching import TreeAttributes

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst")
FORGES = ("github", "gitlab", "sourcehut")
INTEGERS = frozenset({"lastModified", "revCount"})
OWN_PARAMETERS = frozenset({"narHash", "dir", "rev", "lastModified", "revCount"})
"""Query parameters of a tarball's URL that are not its server's."""
BOOLEANS = frozenset({"submodules", "shallow", "allRefs", "exportIgnore", "lfs"})
REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SCP = re.compile(r"(?:[^/@:]+@)?[A-Za-z0-9.\-]+:(?!//)[^:]*")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")


def parse_input_url(url: str) -> dict[str, str | int | bool]:
    """The attributes behind a URL; `dir`, where it has one, is among them. Raises NixEvalError."""
    parts = urlsplit(url)
    scheme, plus, transport = parts.scheme.partition("+")
    pairs = [pair.partition("=") for pair in parts.query.split("&") if pair]
    query = {unquote(name): unquote(value) for name, _, value in pairs}
    if not parts.scheme and _NAME.fullmatch(parts.path.split("/")[0]):
        return _indirect(parts.path, query, url)
    if scheme == "flake":
        return _indirect(parts.path, query, url)
    if scheme == "path":
        if parts.netloc:
            raise NixEvalError(f"path URL '{url}' should not have an authority ('{parts.netloc}')")
        return {"type": "path", "path": unquote(parts.path), **_typed(query)}
    if scheme in FORGES:
        return _forge(scheme, parts.path, query, url)
    if scheme == "git":
        base = f"{transport}:" if plus else "git:"
        place = f"//{parts.netloc}{parts.path}" if parts.netloc or parts.path.startswith("/") else parts.path
        return {"type": "git", "url": f"{base}{place}", **_typed(query)}
    if scheme == "hg" and plus:
        return {"type": "hg", "url": f"{transport}://{parts.netloc}{parts.path}", **_typed(query)}
    kind = scheme if plus else "tarball" if parts.path.endswith(ARCHIVES) else "file"
    address = transport if plus else scheme
    if kind in ("tarball", "file") and address in ("http", "https", "file"):
        kept = {name: value for name, value in query.items() if name in OWN_PARAMETERS}
        rest = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items() if name not in kept)
        plain = parts._replace(scheme=address, query=rest).geturl()
        if address == "file":
            plain = f"file://{parts.netloc}{parts.path}" + (f"?{rest}" if rest else "")
        return {"type": kind, "url": plain, **_typed(kept)}
    raise NixEvalError(
        f"input '{url}' is unsupported",
        hint="Known are path:, git+https:, git+ssh:, github:, https://...tar.gz, flake: ...",
    )


def format_input(attributes: TreeAttributes) -> str:
    """A URL for attributes, for messages and for `flake.lock` views."""
    kind = str(attributes["type"])
    rest = {name: value for name, value in attributes.items() if name in ("rev", "ref", "narHash", "dir", "host")}
    if kind == "path":
        base = f"path:{attributes['path']}"
    elif kind == "git":
        base = str(attributes["url"])
        base = base if base.startswith("git:") else f"git+{base}"
    elif kind == "hg":
        base = f"hg+{attributes['url']}"
    elif kind in FORGES:
        base = f"{kind}:{attributes['owner']}/{attributes['repo']}"
        tip = rest.pop("rev", None) or rest.pop("ref", None)
        rest.pop("ref", None)
        base += f"/{tip}" if tip else ""
    elif kind == "indirect":
        base = "/".join(["flake:" + str(attributes["id"]), *(str(rest.pop(n)) for n in ("ref", "rev") if n in rest)])
    else:
        base = str(attributes["url"])
        if (kind == "tarball") != urlsplit(base).path.endswith(ARCHIVES):
            base = f"{kind}+{base}"
    query = "&".join(f"{name}={quote(str(value), safe='/+=-')}" for name, value in sorted(rest.items()))
    return f"{base}{'&' if '?' in base else '?'}{query}" if query else base


def git_url(url: str) -> str:
    """`url` with a scheme: "/a" is "file:///a", "host:path" is "ssh://host/path"."""
    if url.startswith("/"):
        return f"file://{url}"
    if "://" not in url and _SCP.fullmatch(url):
        host, _, path = url.partition(":")
        return f"ssh://{host}/{path.lstrip('/')}"
    return url


def _forge(kind: str, path: str, query: Mapping[str, str], url: str) -> dict[str, str | int | bool]:
    steps = [unquote(step) for step in path.strip("/").split("/")]
    if len(steps) < 2 or not all(steps):
        raise NixEvalError(f"URL '{url}' is invalid: it needs an owner and a repository")
    found: dict[str, str | int | bool] = {"type": kind, "owner": steps[0], "repo": steps[1], **_typed(query)}
    if len(steps) > 2:
        tip = "/".join(steps[2:])
        if REVISION.fullmatch(tip):
            found["rev"] = tip
        else:
            found["ref"] = tip
    if "ref" in found and "rev" in found:
        raise NixEvalError(f"URL '{url}' contains both a commit hash and a branch/tag name")
    return found


def _indirect(path: str, query: Mapping[str, str], url: str) -> dict[str, str | int | bool]:
    steps = path.strip("/").split("/")
    if not _NAME.fullmatch(steps[0]) or len(steps) > 3:
        raise NixEvalError(f"'{url}' is not the name of a flake")
    found: dict[str, str | int | bool] = {"type": "indirect", "id": steps[0], **_typed(query)}
    for step in steps[1:]:
        found["rev" if REVISION.fullmatch(step) else "ref"] = step
    return found


def _typed(query: Mapping[str, str]) -> dict[str, str | int | bool]:
    typed: dict[str, str | int | bool] = {}
    for name, value in query.items():
        if name in INTEGERS and value.isdigit():
            typed[name] = int(value)
        elif name in BOOLEANS:
            typed[name] = value == "1" or value == "true"
        else:
            typed[name] = value
    return typed
