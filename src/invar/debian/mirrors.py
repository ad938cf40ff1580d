"""Which mirrors to use: an option, the environment, the lock, or the host's apt sources. No host name is built in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from invar.core.errors import InvarError
from invar.debian.lock import is_security, parse_date
from invar.store.proxies import read_proxies

_SCHEMES = ("http", "https", "file")
_LIST_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?:\s+(?P<components>.*))?")
_HINT = (
    "set INVAR_MIRROR to a Debian mirror's address (the directory that holds dists/ and pool/), "
    "and INVAR_SECURITY_MIRROR to the security archive's when it is not beside it"
)


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Mirror addresses in the order in which they are tried, without a closing slash.

    `main` serve the suite and its updates, `security` the security suite. An address may hold `{date}`: a snapshot
    archive, where the lock's date is put in (YYYYMMDDTHHMMSSZ). `source` says where they come from, for messages.
    """

    main: tuple[str, ...]
    security: tuple[str, ...]
    source: str
    proxies: Mapping[str, str] = field(default_factory=dict)

    def serving(self, suite: str, date: str | None) -> tuple[str, ...]:
        """The addresses for a suite under a lock's date; without one (the newest is wanted) snapshots are left out."""
        chosen = self.security if is_security(suite) else self.main
        if date is None:
            return tuple(uri for uri in chosen if "{date}" not in uri)
        stamp = parse_date(date).strftime("%Y%m%dT%H%M%SZ")
        return tuple(uri.replace("{date}", stamp) for uri in chosen)


def find_mirrors(
    *,
    option: Sequence[str] = (),
    environment: Mapping[str, str],
    locked: Sequence[str] = (),
    apt: Path = Path("/etc/apt"),
) -> Mirrors:
    """The mirrors of the first of these that names any.

    `option`: addresses given on the command line. `environment`: INVAR_MIRROR, INVAR_SECURITY_MIRROR and INVAR_MIRRORS
    (several, separated by white space). `locked`: the lock's own. `apt`: the host's apt configuration directory. An
    address with "security" in its path is a security mirror; where none is named it is sought beside each main one.

    Raises InvarError when nothing is found or an address is unusable.
    """
    if option:
        found = _from_addresses(option, "the mirror option")
    elif any(environment.get(name) for name in ("INVAR_MIRROR", "INVAR_SECURITY_MIRROR", "INVAR_MIRRORS")):
        found = _from_environment(environment)
    elif locked:
        found = _from_addresses(locked, "the lock")
    else:
        found = _from_apt(apt)
    return replace(found, proxies=read_proxies(environment))


def _from_environment(environment: Mapping[str, str]) -> Mirrors:
    several = environment.get("INVAR_MIRRORS", "").split()
    main = [*environment.get("INVAR_MIRROR", "").split(), *(uri for uri in several if not _names_security(uri))]
    security = [
        *environment.get("INVAR_SECURITY_MIRROR", "").split(),
        *(uri for uri in several if _names_security(uri)),
    ]
    return _mirrors(main, security, "the environment (INVAR_MIRROR, INVAR_SECURITY_MIRROR, INVAR_MIRRORS)")


def _from_addresses(addresses: Sequence[str], source: str) -> Mirrors:
    main = [uri for uri in addresses if not _names_security(uri)]
    return _mirrors(main, [uri for uri in addresses if _names_security(uri)], source)


def _mirrors(main: Iterable[str], security: Iterable[str], source: str) -> Mirrors:
    first = _unique(_checked(uri, source) for uri in main)
    if not first:
        raise InvarError("no mirror of the main archive is named", where=source, hint=_HINT)
    second = _unique(_checked(uri, source) for uri in security)
    return Mirrors(first, second or _unique(security_beside(uri) for uri in first), source)


def security_beside(uri: str) -> str:
    """Where the security archive lies beside a main one, as on Debian's own mirrors: `debian` → `debian-security`."""
    head, slash, tail = uri.rpartition("/debian")
    if slash and (not tail or tail.startswith("/")):
        return f"{head}/debian-security{tail}"
    return f"{uri}-security"


@dataclass(frozen=True, slots=True)
class AptEntry:
    """One enabled binary source of apt: an address and a suite, and the file that has it."""

    uri: str
    suite: str
    file: Path
    signed_by: str | None


def read_apt_sources(apt: Path) -> list[AptEntry]:
    """Every enabled `deb` entry of sources.list, sources.list.d/*.list and *.sources, after sources.list(5)."""
    entries: list[AptEntry] = []
    directory = apt / "sources.list.d"
    files = [apt / "sources.list", *sorted(directory.glob("*.list")), *sorted(directory.glob("*.sources"))]
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        entries.extend(_deb822(text, file) if file.suffix == ".sources" else _one_line(text, file))
    return [found for entry in entries for found in _listed(entry)]


def _from_apt(apt: Path) -> Mirrors:
    entries = read_apt_sources(apt)
    debian = [entry for entry in entries if _is_debian(entry)]
    main = _unique(entry.uri for entry in debian if not _is_security_entry(entry))
    security = _unique(entry.uri for entry in debian if _is_security_entry(entry))
    if not main:
        foreign = _unique(f"{entry.uri} {entry.suite} ({entry.file})" for entry in entries)
        found = "\n".join(foreign[:6]) or "it has no enabled sources"
        raise InvarError(
            "no Debian mirror is known on this host",
            where=str(apt),
            why=f"its apt sources carry no Debian archive:\n{found}",
            hint=_HINT,
        )
    return _mirrors(main, security, f"this host's apt sources ({apt})")


_DEBIAN_SUITES = re.compile(
    r"(oldoldstable|oldstable|stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)"
    r"(-updates|-security|/updates|-backports|-proposed-updates)?"
)


def _is_debian(entry: AptEntry) -> bool:
    if urlsplit(entry.uri).scheme not in _SCHEMES:
        return False
    if not _DEBIAN_SUITES.fullmatch(entry.suite):
        return False
    signed = entry.signed_by or ""
    if signed and "debian-archive" in signed:
        return True
    # Third parties use Debian's suite names as well; Debian's archive lies in a directory of its own name, or at a
    # snapshot of it.
    return bool(re.search(r"/debian(-security)?(/\d{8}T\d{6}Z)?/?$", entry.uri) or "security" in entry.uri)


def _is_security_entry(entry: AptEntry) -> bool:
    return is_security(entry.suite) or entry.suite.endswith("/updates")


def _one_line(text: str, file: Path) -> Iterator[AptEntry]:
    for line in text.splitlines():
        match = _LIST_LINE.fullmatch(line.partition("#")[0].strip())
        if match:
            signed = re.search(r"signed-by=(\S+)", match["options"] or "", re.IGNORECASE)
            yield AptEntry(match["uri"], match["suite"], file, signed[1] if signed else None)


def _deb822(text: str, file: Path) -> Iterator[AptEntry]:
    for paragraph in re.split(r"\n[ \t]*\n", text):
        lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
        fields: dict[str, str] = {}
        name = ""
        for line in lines:
            if line[:1] in (" ", "\t"):
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptEntry(uri, suite, file, fields.get("signed-by"))


def _listed(entry: AptEntry) -> Iterator[AptEntry]:
    """The entries behind a `mirror+file:` address, after apt-transport-mirror(1); any other entry as it is."""
    if not entry.uri.startswith("mirror+file:"):
        yield entry
        return
    try:
        text = Path(unquote(urlsplit(entry.uri).path)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield replace(entry, uri=words[0])


def _names_security(uri: str) -> bool:
    return "security" in urlsplit(uri).path


def _checked(uri: str, source: str) -> str:
    if urlsplit(uri).scheme not in _SCHEMES:
        raise InvarError(
            f"not a mirror's address: {uri}",
            where=source,
            hint=f"it must begin with {', '.join(f'{scheme}://' for scheme in _SCHEMES)}",
        )
    return uri.rstrip("/")


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
