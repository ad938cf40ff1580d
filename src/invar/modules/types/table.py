"""`lib.types`: every type under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from invar.modules.errors import OptionError
from invar.modules.evaluate import option_type_type
from invar.modules.types import scalars
from invar.modules.types.base import OptionType, type_from_value
from invar.modules.types.composed import AttrTag, CoercedTo, Either, NullOr, Refined
from invar.modules.types.containers import Anything, AttrsOf, FunctionTo, ListOf
from invar.modules.types.submodule import DeferredModule, Submodule
from invar.nix.runtime import call, delay, force
from invar.nix.values import Primop, Value

if TYPE_CHECKING:
    from invar.modules.evaluate import ModuleSystem


def types_table(system: ModuleSystem) -> dict[str, Value]:
    """The attribute set `lib.types` of one module system."""
    table: dict[str, Value] = {name: type_.value() for name, type_ in _PLAIN.items()}
    table |= {
        "ints": _ints(),
        "numbers": _numbers(),
        "listOf": _containing("listOf", ListOf),
        "nonEmptyListOf": _containing("nonEmptyListOf", lambda element: ListOf(element, non_empty=True)),
        "attrsOf": _containing("attrsOf", AttrsOf),
        "loaOf": _containing("loaOf", AttrsOf),
        "lazyAttrsOf": _containing("lazyAttrsOf", lambda element: AttrsOf(element, lazy=True)),
        "attrsWith": Primop("attrsWith", 1, _attrs_with),
        "functionTo": _containing("functionTo", FunctionTo),
        "nullOr": _containing("nullOr", NullOr),
        "uniq": _of("uniq", lambda element: Refined(element, name="unique", unique="")),
        "unique": Primop("unique", 2, _unique),
        "enum": Primop("enum", 1, lambda values: scalars.EnumType(list(force(values))).value()),
        "either": Primop(
            "either", 2, lambda left, right: Either(type_from_value(left), type_from_value(right)).value()
        ),
        "oneOf": Primop("oneOf", 1, _one_of),
        "coercedTo": Primop("coercedTo", 3, _coerced_to),
        "addCheck": Primop("addCheck", 2, lambda type_, check: Refined(type_from_value(type_), check).value()),
        "strMatching": Primop("strMatching", 1, lambda pattern: scalars.str_matching(str(force(pattern))).value()),
        "separatedString": Primop(
            "separatedString", 1, lambda separator: scalars.SeparatedString(force(separator)).value()
        ),
        "passwdEntry": _of("passwdEntry", _passwd_entry),
        "pathWith": Primop("pathWith", 1, _path_with),
        "attrTag": Primop("attrTag", 1, lambda tags: AttrTag(force(tags)).value()),
        "submodule": Primop("submodule", 1, lambda modules: _submodule(system, modules).value()),
        "submoduleWith": Primop("submoduleWith", 1, lambda arguments: _submodule_with(system, arguments).value()),
        "deferredModule": DeferredModule(system).value(),
        "deferredModuleWith": Primop(
            "deferredModuleWith",
            1,
            lambda arguments: DeferredModule(system, force(force(arguments).get("staticModules", []))).value(),
        ),
        "mkOptionType": Primop("mkOptionType", 1, make_option_type),
        "isOptionType": Primop("isOptionType", 1, lambda value: option_type_type.check(force(value))),
        "optionDescriptionPhrase": Primop("optionDescriptionPhrase", 2, description_phrase),
        "defaultFunctor": Primop("defaultFunctor", 1, default_functor),
        "defaultTypeMerge": Primop("defaultTypeMerge", 2, default_type_merge),
        "isType": Primop("isType", 2, _is_type),
        "setType": Primop("setType", 2, lambda name, value: {**force(value), "_type": name}),
    }
    table["types"] = delay(lambda: table)
    return table


_PLAIN: dict[str, OptionType] = {
    "anything": Anything(),
    "attrs": scalars.attrs_type,
    "bool": scalars.bool_type,
    "boolByOr": scalars.bool_by_or,
    "commas": scalars.SeparatedString(","),
    "envVar": scalars.SeparatedString(":"),
    "float": scalars.float_type,
    "int": scalars.int_type,
    "lines": scalars.SeparatedString("\n"),
    "luaInline": scalars.lua_inline,
    "nonEmptyStr": scalars.non_empty_str,
    "number": Either(scalars.int_type, scalars.float_type),
    "optionType": option_type_type,
    "package": scalars.package_type,
    "path": scalars.path_type,
    "pathInStore": scalars.path_in_store,
    "pkgs": scalars.pkgs_type,
    "raw": scalars.raw_type,
    "shellPackage": scalars.shell_package,
    "singleLineStr": scalars.single_line_str,
    "str": scalars.str_type,
    "string": scalars.SeparatedString(""),
    "unspecified": scalars.unspecified_type,
    "externalPath": scalars.external_path,
    "port": scalars.int_between("unsignedInt16", f"16 bit unsigned integer; {scalars.between(0, 65535)}", 0, 65535),
}


def _of(name: str, make: Callable[[OptionType], OptionType]) -> Primop:
    where = f" as argument of `types.{name}'"
    return Primop(name, 1, lambda element: make(type_from_value(element, where)).value())


def _containing(name: str, make: Callable[[Callable[[], OptionType]], OptionType]) -> Primop:
    """A type of elements whose type may be this one again, as in `json = types.nullOr (types.attrsOf json)`."""
    where = f" as argument of `types.{name}'"
    return Primop(name, 1, lambda element: make(lambda: type_from_value(element, where)).value())


def _ints() -> dict[str, Value]:
    table: dict[str, Value] = {
        "between": Primop("between", 2, lambda low, high: _int_range(force(low), force(high)).value()),
        "unsigned": scalars.int_between("unsignedInt", "unsigned integer, meaning >=0", 0, None).value(),
        "positive": scalars.int_between("positiveInt", "positive integer, meaning >0", 1, None).value(),
    }
    for bits in (8, 16, 32):
        top = 2**bits - 1
        table[f"u{bits}"] = scalars.int_between(
            f"unsignedInt{bits}", f"{bits} bit unsigned integer; {scalars.between(0, top)}", 0, top
        ).value()
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        table[f"s{bits}"] = scalars.int_between(
            f"signedInt{bits}", f"{bits} bit signed integer; {scalars.between(low, high)}", low, high
        ).value()
    return table


def _int_range(low: int, high: int) -> OptionType:
    if low > high:
        raise OptionError("ints.between: lowest must be smaller than highest")
    return scalars.int_between("intBetween", f"integer {scalars.between(low, high)}", low, high)


def _numbers() -> dict[str, Value]:
    noun = "integer or floating point number"

    def in_range(low: Any, high: Any) -> OptionType:
        if low > high:
            raise OptionError("numbers.between: lowest must be smaller than highest")
        return scalars.number_where(
            "numberBetween", f"{noun} {scalars.between(low, high)}", lambda value: bool(low <= value <= high)
        )

    return {
        "between": Primop("between", 2, lambda low, high: in_range(force(low), force(high)).value()),
        "nonnegative": scalars.number_where(
            "numberNonnegative", f"nonnegative {noun}, meaning >=0", lambda value: bool(value >= 0)
        ).value(),
        "positive": scalars.number_where(
            "numberPositive", f"positive {noun}, meaning >0", lambda value: bool(value > 0)
        ).value(),
    }


def _attrs_with(arguments: Value) -> Value:
    given = force(arguments)
    lazy = force(given["lazy"]) if "lazy" in given else False
    placeholder = force(given["placeholder"]) if "placeholder" in given else "name"
    return AttrsOf(lambda: type_from_value(given["elemType"]), lazy=lazy, placeholder=placeholder).value()


def _unique(arguments: Value, element: Value) -> Value:
    message = str(force(force(arguments)["message"]))
    return Refined(type_from_value(element), name="unique", unique=message).value()


def _one_of(types: Value) -> Value:
    listed = [type_from_value(one) for one in force(types)]
    if not listed:
        raise OptionError("types.oneOf needs to get at least one type in its argument")
    joined = listed[0]
    for one in listed[1:]:
        joined = Either(joined, one)
    return joined.value()


def _coerced_to(coerced: Value, function: Value, final: Value) -> Value:
    return CoercedTo(type_from_value(coerced), function, type_from_value(final)).value()


def _passwd_entry(element: OptionType) -> OptionType:
    return Refined(
        element,
        lambda text: ":" not in text and "\n" not in text,
        name=f"passwdEntry {element.name}",
        description=f"{element.phrase(lambda kind: kind == 'noun')}, not containing newlines or colons",
        kind="nonRestrictiveClause",
    )


def _path_with(arguments: Value) -> Value:
    given = force(arguments)
    in_store = force(given["inStore"]) if "inStore" in given else None
    absolute = force(given["absolute"]) if "absolute" in given else None
    return scalars.path_with(in_store, absolute).value()


def _submodule(system: ModuleSystem, modules: Value) -> OptionType:
    given = force(modules)
    return Submodule(system, given if isinstance(given, list) else [given], {}, shorthand=True)


def _submodule_with(system: ModuleSystem, arguments: Value) -> OptionType:
    given = force(arguments)
    unknown = given.keys() - {"modules", "specialArgs", "shorthandOnlyDefinesConfig", "description", "class"}
    if unknown:
        raise OptionError(f"types.submoduleWith called with unexpected argument `{min(unknown)}'")
    if "modules" not in given:
        raise OptionError("types.submoduleWith called without required argument `modules'")
    return Submodule(
        system,
        force(given["modules"]),
        force(given["specialArgs"]) if "specialArgs" in given else {},
        shorthand=force(given["shorthandOnlyDefinesConfig"]) if "shorthandOnlyDefinesConfig" in given else False,
        class_=force(given["class"]) if "class" in given else None,
        described=force(given["description"]) if "description" in given else None,
    )


# --- types made by Nix code -----------------------------------------------------------------------------------------


def make_option_type(arguments: Value) -> dict[str, Value]:
    """`mkOptionType`: what is not given gets the defaults of an option type."""
    given = force(arguments)
    name = given.get("name", "unnamed")
    functor = given["functor"] if "functor" in given else delay(lambda: default_functor(name))
    base = scalars.unspecified_type.value()
    made: dict[str, Value] = {
        "check": base["check"],
        "merge": base["merge"],
        "emptyValue": {},
        "getSubOptions": Primop("getSubOptions", 1, lambda prefix: {}),
        "getSubModules": None,
        "substSubModules": Primop("substSubModules", 1, lambda modules: None),
        "typeMerge": Primop("typeMerge", 1, lambda other: default_type_merge(functor, other)),
        "functor": functor,
        "nestedTypes": {},
        "descriptionClass": None,
        "deprecationMessage": None,
        **given,
        "name": name,
        "_type": "option-type",
    }
    if "description" not in made or (type(made["description"]) is not str and force(made["description"]) is None):
        made["description"] = name
    return made


def default_functor(name: Value) -> dict[str, Value]:
    """`defaultFunctor`: a type without parameters."""
    return {
        "name": name,
        "type": delay(lambda: _PLAIN[str(force(name))].value() if str(force(name)) in _PLAIN else None),
        "wrapped": None,
        "payload": None,
        "binOp": Primop("binOp", 2, lambda left, right: None),
    }


def default_type_merge(functor: Value, other: Value) -> Value:
    """`defaultTypeMerge`: equal names merge, with payloads joined by `binOp`."""
    left, right = force(functor), force(other)
    if force(left["name"]) != force(right["name"]):
        return None
    wrapped = force(left.get("wrapped"))
    payload = force(left.get("payload"))
    if wrapped is None and payload is None:
        return force(left["type"])
    if payload is not None:
        if force(right.get("payload")) is None:
            return None
        joined = call(left["binOp"], left["payload"], right["payload"])
        return None if joined is None else call(left["type"], joined)
    if force(right.get("wrapped")) is None:
        return None
    merged = type_from_value(left["wrapped"]).merge_type(type_from_value(right["wrapped"]))
    return None if merged is None else call(left["type"], merged.value())


def description_phrase(unless: Value, type_: Value) -> str:
    """`optionDescriptionPhrase`: a description, in parentheses unless its class passes."""
    return type_from_value(type_).phrase(lambda kind: call(unless, kind) is True)


def _is_type(name: Value, value: Value) -> bool:
    forced = force(value)
    return isinstance(forced, dict) and "_type" in forced and force(forced["_type"]) == force(name)
