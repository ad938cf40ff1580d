"""What evaluation would put into the store: texts, source trees and derivations, kept in memory by store path."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    StoreObject: TypeAlias = "TextObject | SourceObject | Derivation"
else:
    StoreObject = object

STORE_DIR = "/nix/store"


class TextObject:
    """A file with this content, as `builtins.toFile` makes."""

    __slots__ = ("content", "references")

    def __init__(self, content: bytes, references: frozenset[str]) -> None:
        self.content = content
        self.references = references


class SourceObject:
    """A copy of the file tree at `source`, without the entries in `dropped` (absolute paths).

    `dropped_hint` tells whoever asks for one of those why it is not there. `grafts` are trees that lie elsewhere and
    appear at a path below it: ("/lib", "/elsewhere"). `mounted`: it is there to be read from, as a flake's own tree is.
    """

    __slots__ = ("dropped", "dropped_hint", "grafts", "mounted", "nar_sha256", "source")

    def __init__(
        self,
        source: str,
        nar_sha256: bytes,
        dropped: frozenset[str] = frozenset(),
        dropped_hint: str | None = None,
        grafts: tuple[tuple[str, str], ...] = (),
        mounted: bool = False,
    ) -> None:
        self.source = source
        self.nar_sha256 = nar_sha256
        self.dropped = dropped
        self.dropped_hint = dropped_hint
        self.grafts = grafts
        self.mounted = mounted

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


class Output:
    """One output of a derivation; `algorithm` ("sha256", "r:sha256") and `digest` (hexadecimal) if it is fixed."""

    __slots__ = ("algorithm", "digest", "path")

    def __init__(self, path: str, algorithm: str = "", digest: str = "") -> None:
        self.path = path
        self.algorithm = algorithm
        self.digest = digest


class Derivation:
    """A build step, as a `.drv` file holds it."""

    __slots__ = ("arguments", "builder", "environment", "input_derivations", "input_sources", "outputs", "system")

    def __init__(
        self,
        outputs: dict[str, Output],
        input_derivations: dict[str, frozenset[str]],
        input_sources: frozenset[str],
        system: str,
        builder: str,
        arguments: tuple[str, ...],
        environment: dict[str, str],
    ) -> None:
        self.outputs = outputs
        self.input_derivations = input_derivations
        self.input_sources = input_sources
        self.system = system
        self.builder = builder
        self.arguments = arguments
        self.environment = environment

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
        from invar.nix.storepath import text_path  # which hashes: an evaluation without derivations needs none

        references = {*self.input_sources, *self.input_derivations}
        return text_path(f"{name}.drv", self.aterm(), references, store_dir)


_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def _list(texts: tuple[str, ...] | list[str]) -> str:
    return f"[{','.join(map(_quoted, texts))}]"
