"""`pkgs`: a set that makes a package when its name is first asked for: tens of thousands of names cost nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from invar.core.errors import InvarError
from invar.nix import NixError, Primop, Value, call, context_of, delay, force
from invar.nix.errors import NixMissingAttribute, did_you_mean, nearest
from invar.nixos.names import Meaning, Universe, curated, debian_names, meaning
from invar.nixos.objects import Objects

PYTHON_PREFIX = "python3-"
_UNSTORABLE = re.compile(r"[^0-9A-Za-z+\-._?=]")
_REPACKED = re.compile(r"[+~](dfsg|ds|really|repack|git)\b.*|[+~](dfsg|ds)[0-9.]*$")


class MissingPackage(NixMissingAttribute, KeyError):
    """A name that is no package, with those that may have been meant."""

    def __init__(self, name: str, hint: str | None) -> None:
        NixMissingAttribute.__init__(self, f"attribute '{name}' missing: there is no such package", hint=hint)
        self.args = (name,)


class PackageSet(dict[str, Value]):
    """An attribute set whose packages come into being one by one.

    `make` gives the package of a name, as a thunk, or None; `names` lists all names, for whoever enumerates the set.
    """

    def __init__(
        self,
        fixed: dict[str, Value],
        make: Callable[[str], Value],
        names: Callable[[], Iterator[str]],
    ) -> None:
        super().__init__(fixed)
        self._make = make
        self._names = names

    def __missing__(self, name: str) -> Value:
        made = self._make(name)
        if made is None:
            raise MissingPackage(name, did_you_mean(nearest(name, self)))
        self[name] = made
        return made

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or (isinstance(name, str) and self.get(name) is not None)

    def get(self, name: str, default: Value = None) -> Value:
        """The package called `name`, else `default`."""
        if dict.__contains__(self, name):
            return self[name]
        made = self._make(name)
        if made is None:
            return default
        self[name] = made
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*dict.keys(self), *self._names()}))

    def __len__(self) -> int:
        return len({*dict.keys(self), *self._names()})

    def __bool__(self) -> bool:
        return True

    def keys(self) -> Any:
        """Every name."""
        return list(self)

    def values(self) -> Any:
        """Every package."""
        return [self[name] for name in self]

    def items(self) -> Any:
        """Every name with its package."""
        return [(name, self[name]) for name in self]

    def copy(self) -> dict[str, Value]:
        """A plain dict of everything."""
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return {**self.copy(), **other}

    def __ror__(self, other: Any) -> Any:
        return {**other, **self.copy()}


def make_packages(
    universe: Universe,
    objects: Objects,
    *,
    system: str,
    overlays: list[Value],
    load_builders: Callable[..., Value],
) -> PackageSet:
    """`pkgs` for the platform `system` (x86_64-linux), with overlays (Nix functions `final: prev: { ... }`) over it.

    `load_builders(arguments)` evaluates builders.nix with the given attribute set. Everything that packages and
    builders make is registered in `objects`.
    """

    def pending(found: Meaning | None) -> Value:
        return None if found is None else delay(lambda: package(found, universe, objects, system))

    def make(name: str) -> Value:
        return pending(meaning(name, universe))

    def make_python(name: str) -> Value:
        dashed = name.lower().replace("_", "-").removeprefix("python-")
        return pending(meaning(PYTHON_PREFIX + dashed, universe))

    def of_debian(name: str) -> Value:
        return pending(Meaning(name, (name,), name, None, ()))

    def with_overlays(given: Value) -> Value:
        return make_packages(universe, objects, system=system, overlays=list(force(given)), load_builders=load_builders)

    python = PackageSet(
        {},
        make_python,
        lambda: (name.removeprefix(PYTHON_PREFIX) for name in debian_names() if name.startswith(PYTHON_PREFIX)),
    )
    base = PackageSet({}, make, lambda: iter({*curated(), *debian_names()}))
    layers = [base]
    for overlay in overlays:
        layers.append(_overlaid(layers[-1], overlay, lambda: layers[-1]))
    final = layers[-1]
    builders = force(
        load_builders(
            {
                "addObject": Primop("addObject", 1, lambda argument: _add_object(objects, argument)),
                "debianPackage": Primop("debianPackage", 1, lambda name: of_debian(str(force(name)))),
                "packages": final,
                "pythonPackages": python,
                "withPackages": Primop(
                    "withPackages", 2, lambda name, members: _joined(objects, system, force(name), force(members))
                ),
                "packagesWith": Primop("packagesWith", 1, with_overlays),
                "overlays": overlays,
                "system": system,
            }
        )
    )
    base.update(builders)
    return final


def _overlaid(before: PackageSet, overlay: Value, final: Callable[[], PackageSet]) -> PackageSet:
    """`before` with what an overlay makes over it; the overlay is called when a name is first looked up."""
    added = delay(lambda: call(overlay, final(), before))

    def make(name: str) -> Value:
        own = force(added)
        return own[name] if name in own else before.get(name)

    return PackageSet({}, make, lambda: iter({*before, *force(added)}))


def package(found: Meaning, universe: Universe, objects: Objects, system: str) -> dict[str, Value]:
    """The attribute set of a Debian package, in the shape of a derivation.

    `debian` lists the Debian packages that it stands for. `outPath` is a directory whose bin/ links to their programs.
    """
    version = delay(lambda: upstream_version(universe.version(found.debian[0]) or "0"))
    made = _derivation(
        found.name,
        version,
        found.debian,
        system,
        lambda: objects.add(
            _UNSTORABLE.sub("-", f"{found.name}-{force(version)}"),
            {},
            package=found.debian,
            identity=[universe.digest(name) for name in found.debian],
        ),
    )
    made["meta"] = {"name": found.name, "mainProgram": found.main, "available": True, "broken": False}
    made.update(found.passthru)
    if found.shell is not None:
        made["shellPath"] = found.shell
        made["passthru"] = {"shellPath": found.shell, **dict(found.passthru)}
    return made


def upstream_version(version: str) -> str:
    """A Debian version without epoch, revision and marks of repacking: "1:10.0p1-7+deb13u4" is "10.0p1"."""
    upstream = version.split(":", 1)[-1].rsplit("-", 1)[0]
    return _REPACKED.sub("", upstream) or upstream


def _derivation(
    name: str, version: Value, debian: tuple[str, ...], system: str, store: Callable[[], str]
) -> dict[str, Value]:
    out_path = delay(store)
    made: dict[str, Value] = {
        "type": "derivation",
        "pname": name,
        "version": version,
        "name": delay(lambda: f"{name}-{force(version)}"),
        "outPath": out_path,
        "drvPath": out_path,
        "outputName": "out",
        "outputs": ["out"],
        "system": system,
        "debian": list(debian),
        "override": Primop("override", 1, lambda _: _no_builders(f"{name}.override")),
        "overrideAttrs": Primop("overrideAttrs", 1, lambda _: _no_builders(f"{name}.overrideAttrs")),
    }
    for output in ("out", "bin", "dev", "lib", "man", "doc"):
        made[output] = made
    return made


def _no_builders(what: str) -> Value:
    raise NixError(
        f"{what}: the native engine runs no builders",
        hint="It takes packages from Debian as they are. Build with `--engine nix` for packages of one's own.",
    )


def _joined(objects: Objects, system: str, name: Value, members: list[Value]) -> Value:
    """One derivation that stands for all packages of a list."""
    debian: list[str] = []
    for member in members:
        attrs = force(member)
        if not isinstance(attrs, dict) or "debian" not in attrs:
            raise NixError(
                f"{name}: only packages can be joined with packages",
                hint="Files of one's own can be joined with one another: join the two kinds apart.",
            )
        debian += [str(force(one)) for one in force(attrs["debian"])]
    unique = tuple(dict.fromkeys(debian))
    paths = [str(force(force(member)["outPath"])) for member in members]
    made = _derivation(
        str(name), "0", unique, system, lambda: objects.add(str(name), {}, package=unique, identity=paths)
    )
    made["name"] = str(name)
    made["meta"] = {"name": str(name)}
    return made


def _add_object(objects: Objects, argument: Value) -> str:
    """`addObject { name, entries }`: register a store object, and return its path."""
    attrs = force(argument)
    entries: dict[str, dict[str, Any]] = {}
    references: set[str] = set()
    given = force(attrs["entries"])
    for path in sorted(given):
        node: dict[str, Any] = {}
        for key, value in force(given[path]).items():
            evaluated = force(value)
            if isinstance(evaluated, str):
                references |= context_of(evaluated)
                evaluated = str.__str__(evaluated)
            node[key] = evaluated
        if node.get("type") not in {"file", "symlink", "directory"}:
            raise InvarError(f"builders.nix made a store object with a node of no known type: {node!r}")
        entries[str(path)] = node
    return objects.add(str(force(attrs["name"])), entries, references)
