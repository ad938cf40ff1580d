"""A configuration evaluated with the module library: options, assertions, warnings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.modules.evaluate import ConfigSet, Evaluation
from invar.nix import Evaluator, NixError, Value, call, force
from invar.nix import Path as NixPath
from invar.nix.errors import NixMissingAttribute, did_you_mean, nearest
from invar.nix.fetching import Fetcher
from invar.nix.store_objects import SourceObject
from invar.nixos.library import add_library
from invar.nixos.names import Universe
from invar.nixos.objects import Objects
from invar.nixos.places import LIBRARY, MODULES


@dataclass(frozen=True, slots=True)
class Configuration:
    """An evaluated configuration. `config` is a Nix value, evaluated as far as it was asked for.

    `objects` holds every store object that evaluation has made so far. `directory` and `library` are where the language
    sees the configuration's files and the module library. Use it inside `with_big_stack`.
    """

    config: Value
    objects: Objects
    evaluator: Evaluator
    source: Path
    directory: str
    library: str = str(LIBRARY)

    @property
    def definitions(self) -> Evaluation:
        """What each module gave to each option. Raises NixError when the configuration has no value."""
        config = force(self.config)
        assert isinstance(config, ConfigSet)
        return config.evaluation

    def attribute(self, path: str) -> Value:
        """The value (forced) at a dotted path like "services.nginx.enable"; parts in double quotes may hold dots.

        Raises NixError when a part does not exist, or when evaluating it fails.
        """
        value = force(self.config)
        seen: list[str] = []
        for name in split_attribute_path(path):
            if not isinstance(value, dict) or name not in value:
                where = ".".join(seen) or "the configuration"
                known = list(value) if isinstance(value, dict) else []
                raise NixMissingAttribute(
                    f"{where} has no attribute '{name}'", hint=did_you_mean(nearest(name, map(str, known)))
                )
            value = force(value[name])
            seen.append(name)
        return value

    def files_below(self, directory: Path) -> list[Path]:
        """The files below `directory` that evaluation read, or copied into the store. Sorted, without duplicates."""
        places = {Path(self.evaluator.place(path)) for path in self.evaluator.files_read}
        for made in self.evaluator.store_objects.values():
            if isinstance(made, SourceObject) and not made.mounted:
                root = Path(made.source)
                inside = root.rglob("*") if root.is_dir() else [root]
                places.update(path for path in inside if not any(path.is_relative_to(one) for one in made.dropped))
        return sorted(path for path in places if path.is_relative_to(directory) and path.is_file())

    def files(self) -> dict[str, bytes]:
        """The configuration's own files, by path relative to its directory. Raises InvarError for one that is gone."""
        directory = self.source.parent
        try:
            return {
                path.relative_to(directory).as_posix(): path.read_bytes()
                for path in self.files_below(directory)
                if not path.is_relative_to(LIBRARY)
            }
        except OSError as error:
            raise InvarError("a file of the configuration cannot be read", why=str(error)) from error


def evaluate_configuration(
    path: Path,
    universe: Universe,
    *,
    cache_dir: Path | None,
    extra_modules: Sequence[Value] = (),
    on_warn: Callable[[str], None] = lambda text: None,
    fetcher: Fetcher | None = None,
) -> Configuration:
    """Evaluate the configuration at `path`: a .nix file, or a directory with a configuration.nix.

    Files are read from the configuration's directory and from the module library only. `extra_modules` are modules (Nix
    values) beside the configuration's own. `on_warn` is told every warning. `fetcher` gets what `fetchTarball` and its
    like ask for; in a configuration they need a hash. Call it inside `with_big_stack`.

    Raises NixError for what is wrong in the language or in options, InvarError when there is no such file or when
    assertions of modules fail.
    """
    source = (path / "configuration.nix" if path.is_dir() else path).resolve()
    if not source.is_file():
        raise InvarError(
            f"there is no configuration at {path}", hint="name a .nix file, or a directory with a configuration.nix"
        )
    evaluator = Evaluator(
        cache_dir=cache_dir,
        pure=True,
        allowed_roots=(source.parent, LIBRARY),
        on_trace=on_warn,
        on_warn=on_warn,
        fetcher=fetcher,
    )
    objects = add_library(evaluator, universe)
    evaluated = call(
        evaluator.import_file(str(LIBRARY / "eval-config.nix")),
        {"lib": evaluator.import_file(str(LIBRARY / "lib")), "modulesPath": str(MODULES)},
        {"modules": [NixPath(str(source)), *extra_modules]},
    )
    configuration = Configuration(evaluated["config"], objects, evaluator, source, str(source.parent))
    enforce(configuration, on_warn)
    return configuration


def split_attribute_path(path: str) -> list[str]:
    """ "a.b.\"c.d\"" as its parts. Raises InvarError when a quote is not closed or a part is empty."""
    parts: list[str] = []
    rest = path
    while True:
        if rest.startswith('"'):
            part, quote, rest = rest[1:].partition('"')
            closed = quote and (not rest or rest.startswith("."))
            if not closed:
                raise InvarError(f"'{path}' is not an attribute path", why="a quoted part does not end")
            parts.append(part)
            if not rest:
                return parts
            rest = rest[1:]
        else:
            part, dot, rest = rest.partition(".")
            if not part:
                raise InvarError(f"'{path}' is not an attribute path", why="a part of it is empty")
            parts.append(part)
            if not dot:
                return parts


def enforce(configuration: Configuration, on_warn: Callable[[str], None]) -> None:
    """Tell warnings, and raise InvarError for assertions that do not hold."""
    config = force(configuration.config)
    failed: list[str] = []
    fault: NixError | None = None
    for one in force(config["assertions"]):
        try:
            assertion = force(one)
            if force(assertion["assertion"]) is not True:
                failed.append(str(force(assertion["message"])))
        except NixError as error:
            # An assertion that fails may well be the reason why another cannot be decided.
            fault = fault or error
    if not failed and fault is not None:
        raise fault
    if failed:
        count = "an assertion" if len(failed) == 1 else f"{len(failed)} assertions"
        raise InvarError(
            f"the configuration fails {count}",
            where=str(configuration.source),
            why="\n".join(f"- {message}" for message in failed),
        )
    for warning in force(config["warnings"]):
        on_warn(str(force(warning)))
