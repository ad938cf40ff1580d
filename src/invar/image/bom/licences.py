"""Licences out of Debian's machine-readable copyright files, as SPDX licence expressions.

Follows "Machine-readable debian/copyright file", version 1.0 (DEP 5), and annex D of SPDX 2.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORMAT = re.compile(r"\AFormat(?:-Specification)?:\s*\S*(?:copyright-format|dep5|copyright\.mdwn)", re.IGNORECASE)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")
_FILES = re.compile(r"^Files:", re.MULTILINE | re.IGNORECASE)
_LICENCE = re.compile(r"^License:[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
_NOT_IN_A_REFERENCE = re.compile(r"[^A-Za-z0-9.-]+")
_GNU = re.compile(r"(GPL|LGPL|AGPL|GFDL(?:-NIV)?)-?v?(\d(?:\.\d)*)?(\+|-only|-or-later)?\Z", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9.+_/-]+\Z")

_SPDX = """
0BSD AFL-2.0 AFL-2.1 AFL-3.0 Apache-1.0 Apache-1.1 Apache-2.0 Artistic-2.0 BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent
BSD-3-Clause BSD-3-Clause-Attribution BSD-4-Clause BSD-4-Clause-UC BSL-1.0 Beerware CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0
CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 CDDL-1.1 CPL-1.0 EPL-1.0 EPL-2.0 FSFAP FSFUL FSFULLR FTL HPND ICU IJG IPL-1.0 ISC
Info-ZIP LPPL-1.3c Libpng MIT MIT-0 MPL-1.0 MPL-1.1 MPL-2.0 MS-PL NCSA NTP OFL-1.1 OLDAP-2.8 OpenSSL PHP-3.01 PSF-2.0
PostgreSQL Python-2.0 RSA-MD Ruby Sleepycat SunPro TCL Unicode-DFS-2015 Unicode-DFS-2016 Unicode-3.0 Unlicense Vim W3C
WTFPL X11 ZPL-2.0 ZPL-2.1 Zlib blessing bzip2-1.0.6 curl libtiff zlib-acknowledgement
"""
"""Ids of SPDX's list that Debian's copyright files use as they are, in any case."""

_OTHER_NAMES = {
    "apache-2": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "artistic-1": "Artistic-1.0-Perl",
    "artistic-1.0": "Artistic-1.0-Perl",
    "artistic-2": "Artistic-2.0",
    "boost-1.0": "BSL-1.0",
    "cc0": "CC0-1.0",
    "expat": "MIT",
    "openldap-2.8": "OLDAP-2.8",
    "mpl-1": "MPL-1.0",
    "mpl-2": "MPL-2.0",
    "psf-2": "PSF-2.0",
    "python": "Python-2.0",
    "unicode": "Unicode-DFS-2016",
    "w3c-software": "W3C",
    "zope-2.1": "ZPL-2.1",
}
"""Names that DEP 5 or Debian's packages use for a licence that SPDX calls otherwise; lower case."""

_KNOWN = {name.lower(): name for name in _SPDX.split()} | _OTHER_NAMES

_EXCEPTIONS = {
    "autoconf": "Autoconf-exception-generic",
    "autoconf-data": "Autoconf-exception-generic",
    "bison": "Bison-exception-2.2",
    "classpath": "Classpath-exception-2.0",
    "font": "Font-exception-2.0",
    "gcc": "GCC-exception-3.1",
    "libtool": "Libtool-exception",
    "linux-syscall-note": "Linux-syscall-note",
    "llvm": "LLVM-exception",
    "texinfo": "Texinfo-exception",
}
_GNU_VERSIONS = {
    "GPL": ("1.0", "2.0", "3.0"),
    "LGPL": ("2.0", "2.1", "3.0"),
    "AGPL": ("1.0", "3.0"),
    "GFDL": ("1.1", "1.2", "1.3"),
}


@dataclass(frozen=True, slots=True)
class Licence:
    """What a copyright file declares: an SPDX `expression`, None where it says nothing that a program can read.

    `references` maps each "LicenseRef-..." of the expression to the name that the copyright file uses.
    """

    expression: str | None
    references: dict[str, str]


UNKNOWN = Licence(None, {})


def declared_licence(copyright_file: str, source: str) -> Licence:
    """The licences of all files of a package together. `source`, its source package, names what SPDX has no id for.

    A file that is not in the machine-readable format gives `UNKNOWN`.
    """
    if not _FORMAT.match(copyright_file):
        return UNKNOWN
    references: dict[str, str] = {}
    terms = set()
    for paragraph in _PARAGRAPHS.split(copyright_file):
        found = _LICENCE.search(paragraph)
        if found and _FILES.search(paragraph) and found[1].strip():
            terms.add(expression(found[1].strip(), source, references))
    if not terms:
        return UNKNOWN
    joined = sorted(f"({term})" if " OR " in term and len(terms) > 1 else term for term in terms)
    flat = dict.fromkeys(part for term in joined for part in ([term] if "(" in term else term.split(" AND ")))
    return Licence(" AND ".join(flat), dict(sorted(references.items())))


def expression(synopsis: str, source: str, references: dict[str, str]) -> str:
    """The SPDX expression of a DEP 5 synopsis like "GPL-2+ or Artistic, and BSD-3-clause".

    "and" binds more than "or", unless a comma stands before it. What has no SPDX id is added to `references`.
    """
    conjuncts = []
    for group in re.split(r",\s*and\s+", synopsis):
        choices = [
            " AND ".join(dict.fromkeys(_term(one, source, references) for one in re.split(r"\s+and\s+", choice)))
            for choice in re.split(r",?\s+or\s+|,\s*or\s+|\s*\|\s*", group)
        ]
        conjuncts.append(" OR ".join(dict.fromkeys(choices)))
    conjuncts = list(dict.fromkeys(conjuncts))
    if len(conjuncts) == 1:
        return conjuncts[0]
    return " AND ".join(f"({one})" if " OR " in one else one for one in conjuncts)


def _term(name: str, source: str, references: dict[str, str]) -> str:
    """One licence, with its exception if it has one."""
    base, marker, exception = re.sub(r"\s+", " ", name.strip(" ,;.")).partition(" with ")
    identifier = _identifier(base)
    if identifier and not marker:
        return identifier
    known = _EXCEPTIONS.get(exception.lower().removesuffix(" exception").removesuffix("-exception").strip())
    if identifier and known:
        return f"{identifier} WITH {known}"
    text = f"{base}{marker}{exception}"
    reference = f"LicenseRef-{_clean(source)}-{_clean(text)[:60].strip('-')}"
    references[reference] = text
    return reference


def _identifier(name: str) -> str | None:
    """The SPDX id of a short name, None if there is none."""
    if not _NAME.match(name):
        return None
    gnu = _GNU.match(name)
    if gnu is None:
        return _KNOWN.get(name.lower())
    family, number, suffix = gnu[1].upper(), gnu[2], (gnu[3] or "").lower()
    plain = family.removesuffix("-NIV")
    if number is None:
        return None
    version = number if "." in number else f"{number}.0"
    if version not in _GNU_VERSIONS[plain]:
        return None
    variant = "-no-invariants" if family.endswith("-NIV") else ""
    return f"{plain}-{version}{variant}{'-or-later' if suffix in ('+', '-or-later') else '-only'}"


def _clean(text: str) -> str:
    return _NOT_IN_A_REFERENCE.sub("-", text.replace("+", "-plus")).strip("-") or "unnamed"
