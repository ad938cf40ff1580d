"""The module system as Nix and as Python see it: `builtins.invarModules` and `eval_modules`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from invar.modules.constructors import constructors
from invar.modules.errors import OptionError
from invar.modules.evaluate import Evaluation, ModuleSystem
from invar.modules.merge import Loc, Merged, merge_default, merge_definitions, merge_equal, merge_one
from invar.modules.options import Declaration, Option
from invar.modules.properties import (
    DEFAULT_PRIORITY,
    Definition,
    discharge,
    in_order,
    push_down,
    rewrap,
    strongest,
)
from invar.modules.render import UNKNOWN_FILE, show_definitions, show_files, show_option
from invar.modules.types.base import (
    OptionType,
    definitions_from_value,
    loc_from_value,
    type_from_value,
)
from invar.modules.types.submodule import Submodule, set_default_location
from invar.modules.types.table import types_table
from invar.nix.evaluator import Evaluator
from invar.nix.runtime import call, delay, force
from invar.nix.values import Primop, Value


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What evaluating modules gave. `config` and `options` are Nix values, evaluated on demand with `force`.

    `evaluation` knows every option's definitions.
    """

    config: Value
    options: Value
    value: dict[str, Value]
    """The whole result, as `lib.evalModules` returns it."""
    evaluation: Evaluation


class Importer(Protocol):
    """What module files are imported with; an `Evaluator` is one."""

    def import_file(self, path: str, /) -> Value:
        """The value of the file."""


def evaluator_with_modules(**settings: Any) -> Evaluator:
    """`Evaluator(**settings)` whose `builtins.invarModules` is the module system."""
    evaluator = Evaluator(**settings)
    evaluator.builtins.update(native_builtins(evaluator))
    return evaluator


def native_builtins(evaluator: Importer) -> dict[str, Value]:
    """`{ invarModules = lib: { evalModules, mkOption, types, ... }; }`, to be added to an evaluator's `builtins`.

    `lib` is what modules get as their argument of that name; it is not evaluated before one of them uses it.
    """
    return {"invarModules": Primop("invarModules", 1, lambda lib: module_functions(module_system(evaluator, lib)))}


def eval_modules(
    evaluator: Importer,
    modules: Sequence[Value],
    special_args: Mapping[str, Value],
    prefix: Loc = (),
    class_: str | None = None,
) -> Evaluated:
    """Evaluate modules (paths, attribute sets, functions) to a configuration.

    `special_args` are arguments of every module function and usually hold `lib`. Errors (OptionError,
    NixError) come when parts of the result are forced. Forcing needs a deep stack: call inside `with_big_stack`.
    """
    lib = special_args.get("lib", {})
    evaluation = Evaluation(module_system(evaluator, lib), modules, special_args, prefix=prefix, class_=class_)
    return Evaluated(evaluation.config, evaluation.options, evaluation.value(), evaluation)


def module_system(evaluator: Importer, lib: Value) -> ModuleSystem:
    """A module system whose files are imported by `evaluator` and whose modules get `lib`."""

    def nested(file: str, options: Value) -> OptionType:
        return Submodule(system, [{"_file": file, "options": options}], {}, shorthand=True)

    def module_type(evaluation: Evaluation) -> OptionType:
        return Submodule(system, evaluation.modules, evaluation.special_args, shorthand=False, class_=evaluation.class_)

    system = ModuleSystem(evaluator.import_file, lib, nested, module_type)
    return system


def module_functions(system: ModuleSystem) -> dict[str, Value]:
    """Everything that `lib` re-exports."""
    types = types_table(system)
    return {
        **constructors(),
        "evalModules": Primop("evalModules", 1, lambda arguments: _eval_modules(system, force(arguments))),
        "types": types,
        "mkOptionType": types["mkOptionType"],
        "defaultFunctor": types["defaultFunctor"],
        "defaultTypeMerge": types["defaultTypeMerge"],
        "optionDescriptionPhrase": types["optionDescriptionPhrase"],
        "showOption": Primop("showOption", 1, lambda loc: show_option(loc_from_value(loc))),
        "showDefs": Primop("showDefs", 1, lambda definitions: show_definitions(definitions_from_value(definitions))),
        "showFiles": Primop("showFiles", 1, lambda files: show_files(str(force(one)) for one in force(files))),
        "showOptionWithDefLocs": Primop("showOptionWithDefLocs", 1, _show_option_with_locations),
        "mergeDefaultOption": Primop("mergeDefaultOption", 2, _as_merge(merge_default)),
        "mergeEqualOption": Primop("mergeEqualOption", 2, _as_merge(merge_equal)),
        "mergeOneOption": Primop("mergeOneOption", 2, _as_merge(merge_one)),
        "mergeUniqueOption": Primop("mergeUniqueOption", 3, _merge_unique),
        "mergeDefinitions": Primop("mergeDefinitions", 3, _merge_definitions),
        "setDefaultModuleLocation": Primop("setDefaultModuleLocation", 2, set_default_location),
        "unknownModule": UNKNOWN_FILE,
        "dischargeProperties": Primop("dischargeProperties", 1, _discharge_properties),
        "pushDownProperties": Primop("pushDownProperties", 1, _push_down_properties),
        "filterOverrides": Primop("filterOverrides", 1, lambda definitions: _filter_overrides(definitions)["values"]),
        "filterOverrides'": Primop("filterOverrides'", 1, _filter_overrides),
        "sortProperties": Primop(
            "sortProperties",
            1,
            lambda definitions: [one.as_value() for one in in_order(definitions_from_value(definitions))],
        ),
        "evalOptionValue": Primop("evalOptionValue", 3, _eval_option_value),
        "mergeOptionDecls": Primop("mergeOptionDecls", 2, _merge_declarations),
        "fixupOptionType": Primop("fixupOptionType", 2, lambda loc, option: option),
    }


def _eval_modules(system: ModuleSystem, arguments: dict[str, Value]) -> Value:
    unknown = arguments.keys() - {"modules", "specialArgs", "prefix", "class", "args", "check"}
    if unknown:
        raise OptionError(f"evalModules called with unexpected argument `{min(unknown)}'")
    if "modules" not in arguments:
        raise OptionError("evalModules called without required argument `modules'")
    modules = list(force(arguments["modules"]))
    if "args" in arguments:
        modules.append({"config": {"_module": {"args": arguments["args"]}}})
    if "check" in arguments:
        modules.append({"config": {"_module": {"check": arguments["check"]}}})
    return Evaluation(
        system,
        modules,
        force(arguments["specialArgs"]) if "specialArgs" in arguments else {},
        prefix=loc_from_value(arguments["prefix"]) if "prefix" in arguments else (),
        class_=force(arguments["class"]) if "class" in arguments else None,
    ).value()


# --- the parts that Nix code may call by themselves -----------------------------------------------------------------


def _as_merge(merge: Callable[[Loc, list[Definition]], Value]) -> Callable[[Value, Value], Value]:
    return lambda loc, definitions: merge(loc_from_value(loc), definitions_from_value(definitions))


def _merge_unique(arguments: Value, loc: Value, definitions: Value) -> Value:
    given = force(arguments)
    found = definitions_from_value(definitions)
    message = str(force(given["message"])) if "message" in given else ""
    value = merge_one(loc_from_value(loc), found, message)
    return call(given["merge"], loc, definitions) if "merge" in given else value


def _merge_definitions(loc: Value, type_: Value, definitions: Value) -> Value:
    return _merged_value(
        merge_definitions(loc_from_value(loc), type_from_value(type_), definitions_from_value(definitions))
    )


def _merged_value(merged: Merged) -> dict[str, Value]:
    value = delay(merged.value)
    final = [definition.as_value() for definition in merged.definitions]
    return {
        "defsFinal": final,
        "defsFinal'": {"values": final, "highestPrio": merged.highest_priority},
        "isDefined": merged.is_defined,
        "mergedValue": value,
        "optionalValue": {"value": value} if merged.is_defined else {},
    }


def _discharge_properties(value: Value) -> list[Value]:
    return [
        rewrap(one.value, ()) if one.priority == DEFAULT_PRIORITY else _again(one)
        for one in discharge(Definition(UNKNOWN_FILE, value))
    ]


def _again(definition: Definition) -> Value:
    return {"_type": "override", "priority": definition.priority, "content": definition.value}


def _push_down_properties(value: Value) -> list[Value]:
    return [
        {name: rewrap(item, pushed.wraps) for name, item in attrs.items()}
        for attrs, pushed in push_down(Definition(UNKNOWN_FILE, value))
    ]


def _filter_overrides(definitions: Value) -> dict[str, Value]:
    found = []
    for one in definitions_from_value(definitions):
        found += discharge(one)
    final, highest = strongest(found)
    return {"values": [one.as_value() for one in final], "highestPrio": highest}


def _show_option_with_locations(option: Value) -> str:
    given = force(option)
    return (
        show_option(loc_from_value(given["loc"]))
        + ", with values:"
        + show_definitions(definitions_from_value(given["definitionsWithLocations"]))
    )


def _eval_option_value(loc: Value, option: Value, definitions: Value) -> Value:
    found = definitions_from_value(definitions)
    one = Option(loc_from_value(loc), [Declaration(UNKNOWN_FILE, "", option)], lambda: found)
    return one.show()


def _merge_declarations(loc: Value, declarations: Value) -> Value:
    listed = [Declaration(str(force(force(one)["_file"])), "", force(one)["options"]) for one in force(declarations)]
    return Option(loc_from_value(loc), listed, list).show()
