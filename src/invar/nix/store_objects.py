"""What evaluation would put into the store: texts, source trees and derivations, kept in memory by store path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

from invar.nix.storepath import text_path


@dataclass(frozen=True, slots=True)
class TextObject:
    """A file with this content, as `builtins.toFile` makes."""

    content: bytes
    references: frozenset[str]


@dataclass(frozen=True, slots=True)
class SourceObject:
    """A copy of the file tree at `source`, without the entries in `dropped` (absolute paths).

    `dropped_hint` tells whoever asks for one of those why it is not there. `grafts` are trees that lie elsewhere and
    appear at a path below it: ("/lib", "/elsewhere"). `mounted`: it is there to be read from, as a flake's own tree is.
    """

    source: str
    nar_sha256: bytes
    dropped: frozenset[str] = frozenset()
    dropped_hint: str | None = None
    grafts: tuple[tuple[str, str], ...] = ()
    mounted: bool = False

    def inside(self, rest: str) -> str | None:
        """Where what lies at `rest` ("" or "/a/b") in the copy comes from; None if it was left out."""
        for below, elsewhere in self.grafts:
            if rest == below or rest.startswith(f"{below}/"):
                return elsewhere + rest[len(below) :]
        if self.dropped:
            steps = rest.split("/")
            if any(self.source + "/".join(steps[:count]) in self.dropped for count in range(2, len(steps) + 1)):
                return None
        return self.source + rest

    @property
    def roots(self) -> tuple[str, ...]:
        """The directories that its files are in."""
        return (self.source, *(elsewhere for _, elsewhere in self.grafts))


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a derivation; `algorithm` ("sha256", "r:sha256") and `digest` (hexadecimal) if it is fixed."""

    path: str
    algorithm: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Derivation:
    """A build step, as a `.drv` file holds it."""

    outputs: dict[str, Output]
    input_derivations: dict[str, frozenset[str]]
    input_sources: frozenset[str]
    system: str
    builder: str
    arguments: tuple[str, ...]
    environment: dict[str, str]

    @property
    def fixed(self) -> bool:
        """Whether the output's hash is given beforehand."""
        return list(self.outputs) == ["out"] and bool(self.outputs["out"].digest)

    def aterm(self, inputs: dict[str, frozenset[str]] | None = None, *, masked: bool = False) -> bytes:
        """The text of the `.drv` file. `inputs` replaces the input derivations; `masked` omits own output paths."""
        outputs = []
        for name, output in sorted(self.outputs.items()):
            path = "" if masked else output.path
            outputs.append(f'("{name}","{path}","{output.algorithm}","{output.digest}")')
        used = self.input_derivations if inputs is None else inputs
        derivations = [f"({_quoted(path)},{_list(sorted(names))})" for path, names in sorted(used.items())]
        environment = [
            f"({_quoted(name)},{_quoted('' if masked and name in self.outputs else value)})"
            for name, value in sorted(self.environment.items())
        ]
        parts = [
            f"[{','.join(outputs)}]",
            f"[{','.join(derivations)}]",
            _list(sorted(self.input_sources)),
            _quoted(self.system),
            _quoted(self.builder),
            _list(self.arguments),
            f"[{','.join(environment)}]",
        ]
        return f"Derive({','.join(parts)})".encode("utf-8", "surrogateescape")

    def path(self, name: str, store_dir: str) -> str:
        """The store path of the `.drv` file."""
        references = {*self.input_sources, *self.input_derivations}
        return text_path(f"{name}.drv", self.aterm(), references, store_dir)


StoreObject: TypeAlias = TextObject | SourceObject | Derivation


def hash_modulo(derivation: Derivation, known: dict[str, dict[str, bytes]], *, masked: bool) -> dict[str, bytes]:
    """A digest per output that stays the same when only the way to a fixed-output input changes.

    `known` holds the results of the input derivations by `.drv` path.
    """
    if derivation.fixed:
        output = derivation.outputs["out"]
        text = f"fixed:out:{output.algorithm}:{output.digest}:{output.path}"
        return {"out": hashlib.sha256(text.encode()).digest()}
    inputs: dict[str, frozenset[str]] = {}
    for path, names in derivation.input_derivations.items():
        for name in names:
            key = known[path][name].hex()
            inputs[key] = inputs.get(key, frozenset()) | {name}
    digest = hashlib.sha256(derivation.aterm(inputs, masked=masked)).digest()
    return dict.fromkeys(derivation.outputs, digest)


_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def _list(texts: tuple[str, ...] | list[str]) -> str:
    return f"[{','.join(map(_quoted, texts))}]"
