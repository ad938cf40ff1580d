"""What must never be in a layer, which everyone with the image can read, nor on a screen: keys and credentials."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from invar.core.errors import InvarError

PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    ("a private key of PuTTY", re.compile(r"^PuTTY-User-Key-File-\d:", re.MULTILINE)),
    ("an age key", re.compile(r"\bAGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{20,}")),
    (
        "a private key of WireGuard",
        re.compile(r"^[ \t]*PrivateKey\s*=\s*[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\s*$", re.MULTILINE),
    ),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    (
        "an AWS secret key",
        re.compile(r"aws_(?:secret_access_key|session_token)[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}", re.I),
    ),
    ("a key of an Azure storage account", re.compile(r"\bAccountKey=[A-Za-z0-9+/]{60,}={0,2}")),
    ("a Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("a token of GitHub", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})")),
    ("a token of GitLab", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    ("a token of Slack", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{20,}")),
    ("a secret key of Stripe", re.compile(r"\b[rs]k_live_[A-Za-z0-9]{20,}")),
    ("a token of npm", re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")),
)
"""What it is, and what it looks like."""

_SECRET_NAME = re.compile(
    r"passw(?:or)?d|passphrase|secret|credential|token|api[_-]?key|private[_-]?key|\.key\Z", re.IGNORECASE
)
_HARMLESS_NAME = re.compile(r"(?:files?|paths?|command|authentication|enable|length)\Z|needs", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    # Without the look behind, a long word is tried from each of its letters.
    r"(?P<name>(?<![\w.-])[\w.-]*(?:passw(?:or)?d|passphrase|secret|credential|token|api[_-]?key)[\w.-]*)"
    r"(?P<between>\s*[=:]\s*[\"']?)(?P<value>[^\s\"',;]+)",
    re.IGNORECASE,
)
_HARMLESS_VALUE = re.compile(r"(?:[/@$%].*|true|false|yes|no|on|off|null|none|required|\d{1,4})\Z", re.IGNORECASE)

NOT_SHOWN = "(not shown)"


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret: what kind, in which file of the image, in which line (from 1), and what put it there."""

    kind: str
    path: str
    line: int
    origin: str


def find_secrets(text: str, path: str, origin: str) -> list[Finding]:
    """The secrets in one text. `origin` is the option or object that it comes from."""
    findings = []
    for kind, pattern in PATTERNS:
        for match in pattern.finditer(text):
            findings.append(Finding(kind, path, text.count("\n", 0, match.start()) + 1, origin))
    return findings


def refuse_secrets(findings: Iterable[Finding]) -> None:
    """Raise one InvarError that names every finding, without its content. Nothing found, nothing happens."""
    found = list(findings)
    if not found:
        return
    first = found[0]
    raise InvarError(
        f"{first.path} holds {first.kind}" if len(found) == 1 else f"{len(found)} secrets would be in the image",
        where=first.origin,
        why="\n".join(f"{one.path}, line {one.line}: {one.kind} (from {one.origin})" for one in found)
        + "\nwhoever can read the image or its snapshot can read it",
        hint="fetch it at boot (instance role, SSM parameter) into /run or /var, and give the service that path",
    )


def sounds_secret(*path: str) -> bool:
    """Whether what has this name (of an option, part by part; of a file) is likely to be a secret itself.

    Names like "passwordFile" say where a secret is, or how one is used: they are none.
    """
    return _HARMLESS_NAME.search(path[-1]) is None and any(_SECRET_NAME.search(part) for part in path)


def without_secrets(text: str) -> str:
    """A text for the screen: without the values of assignments that look secret; nothing of it if a key is in it."""
    if find_secrets(text, "", ""):
        return NOT_SHOWN
    return _ASSIGNMENT.sub(_covered, text)


def _covered(match: re.Match[str]) -> str:
    name, value = match["name"], match["value"]
    if _HARMLESS_VALUE.match(value) or _HARMLESS_NAME.search(name):
        return match[0]
    return f"{name}{match['between']}{NOT_SHOWN}"
