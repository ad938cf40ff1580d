"""The module library as an evaluator has it: `builtins.invarModules`, `builtins.invarPackages`, and its files."""

from __future__ import annotations

from invar.modules.native import native_builtins
from invar.nix import Evaluator, Primop, Value, call, force
from invar.nixos.names import Universe
from invar.nixos.objects import Objects
from invar.nixos.pkgs import PackageSet, make_packages
from invar.nixos.places import LIBRARY


def add_library(evaluator: Evaluator, universe: Universe, *, lib: str = str(LIBRARY / "lib")) -> Objects:
    """Add the module system and `invarPackages { system, overlays }` to an evaluator's `builtins`.

    The evaluator has to be allowed to read `LIBRARY`; `lib` is where it finds the library's `lib`. What packages and
    builders make goes into the result.
    """
    objects = Objects(evaluator.store_objects)
    plain: dict[str, PackageSet] = {}

    def load_builders(arguments: dict[str, Value]) -> Value:
        found = evaluator.import_file(lib)
        return call(evaluator.import_file(str(LIBRARY / "builders.nix")), {**arguments, "lib": found})

    def packages(argument: Value) -> Value:
        given = force(argument)
        system = str(force(given["system"]))
        overlays = list(force(given["overlays"]))
        if not overlays and system in plain:
            return plain[system]
        made = make_packages(universe, objects, system=system, overlays=overlays, load_builders=load_builders)
        if not overlays:
            plain[system] = made
        return made

    evaluator.builtins.update(native_builtins(evaluator))
    evaluator.builtins["invarPackages"] = Primop("invarPackages", 1, packages)
    return objects
