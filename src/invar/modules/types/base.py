"""What every option type can do, and its appearance as a Nix attribute set."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from invar.modules.errors import OptionError
from invar.modules.merge import Loc, merge_default
from invar.modules.properties import Definition, definition_from_value
from invar.nix.runtime import call, delay, force
from invar.nix.values import Primop, Value, type_name


class OptionType:
    """An option type. Subclasses are the built-in types; `ForeignType` is one that Nix code made."""

    name: str = "unspecified"
    description: str = "unspecified value"
    description_class: str | None = None
    """How the description reads inside another: noun, conjunction, composite or nonRestrictiveClause."""
    empty_value: tuple[Value, ...] = ()
    """The value without definitions, as a one-element tuple; () when there is none."""

    def __init__(self) -> None:
        self._value: TypeAttrs | None = None

    def check(self, value: Value) -> bool:
        """Whether a (forced) value may be merged by `merge`."""
        return True

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """The value of one or more definitions that all passed `check`."""
        return merge_default(loc, definitions)

    def sub_options(self, prefix: Loc) -> Value:
        """The options below an option of this type, for documentation: an attribute set."""
        return {}

    def sub_modules(self) -> list[Value] | None:
        """The modules of a submodule type, else None."""
        return None

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """The same type with other submodules."""
        raise OptionError(f"the option type `{self.name}' has no submodules to replace")

    def merge_type(self, other: OptionType) -> OptionType | None:
        """The type of an option that is declared with this type and with `other`; None when that cannot be."""
        if self.name == other.name and not self.nested() and type(self) is type(other):
            return self
        return None

    def nested(self) -> dict[str, OptionType]:
        """The types that this one is made of."""
        return {}

    def payload(self) -> dict[str, Value]:
        """What `functor.payload` shows."""
        return {}

    def value(self) -> TypeAttrs:
        """The type as Nix sees it."""
        if self._value is None:
            self._value = TypeAttrs(self)
        return self._value

    def phrase(self, unless: Callable[[str | None], bool]) -> str:
        """The description, in parentheses unless its class allows to go without."""
        return self.description if unless(self.description_class) else f"({self.description})"

    def noun_phrase(self) -> str:
        """The description as "list of ..." continues it."""
        return self.phrase(lambda kind: kind in ("noun", "composite"))


class ElementType(OptionType):
    """A type with one element type, which is looked up when it is first used: a type may contain itself."""

    description_class = "composite"

    def __init__(self, element: OptionType | Callable[[], OptionType]) -> None:
        super().__init__()
        self._element = element

    @cached_property
    def element(self) -> OptionType:
        """The element type. Raises OptionError when what was given is none."""
        return self._element if isinstance(self._element, OptionType) else self._element()

    def sub_modules(self) -> list[Value] | None:
        """The element's."""
        return self.element.sub_modules()

    def nested(self) -> dict[str, OptionType]:
        """The element type."""
        return {"elemType": self.element}


class TypeAttrs(dict[str, Value]):
    """The Nix attribute set of a native type. `types.x // { ... }` makes a plain set and with it a foreign type."""

    __slots__ = ("native",)

    def __init__(self, native: OptionType) -> None:
        super().__init__(
            {
                "_type": "option-type",
                "name": native.name,
                "description": delay(lambda: native.description),
                "descriptionClass": native.description_class,
                "check": Primop("check", 1, lambda value: native.check(force(value))),
                "merge": Primop("merge", 2, lambda loc, definitions: _merge(native, loc, definitions)),
                "emptyValue": {"value": native.empty_value[0]} if native.empty_value else {},
                "getSubOptions": Primop("getSubOptions", 1, lambda prefix: native.sub_options(loc_from_value(prefix))),
                "getSubModules": delay(native.sub_modules),
                "substSubModules": Primop("substSubModules", 1, lambda modules: _substitute(native, modules)),
                "typeMerge": Primop("typeMerge", 1, lambda functor: _type_merge(native, functor)),
                "nestedTypes": delay(lambda: {name: one.value() for name, one in native.nested().items()}),
                "functor": delay(lambda: FunctorAttrs(native)),
                "deprecationMessage": None,
            }
        )
        self.native = native


class FunctorAttrs(dict[str, Value]):
    """`functor` of a native type: what `typeMerge` of another type is given."""

    __slots__ = ("native",)

    def __init__(self, native: OptionType) -> None:
        nested = native.nested()
        super().__init__(
            {
                "name": native.name,
                "type": native.value(),
                "wrapped": next(iter(nested.values())).value() if nested else None,
                "payload": delay(lambda: native.payload() or None),
                "binOp": Primop("binOp", 2, lambda left, right: left),
            }
        )
        self.native = native


class ForeignType(OptionType):
    """A type that Nix code made (`mkOptionType`, `types.x // { ... }`, ...): its attributes decide."""

    def __init__(self, attrs: dict[str, Value]) -> None:
        super().__init__()
        self._attrs = attrs
        self._check: Any = None
        self._merge: Any = None
        self.name = str(force(attrs["name"])) if "name" in attrs else "unnamed"
        empty = force(attrs["emptyValue"]) if "emptyValue" in attrs else {}
        self.empty_value = (empty["value"],) if "value" in empty else ()

    @property
    def description(self) -> str:  # type: ignore[override]
        """The set's `description`, else its name."""
        text = force(self._attrs["description"]) if "description" in self._attrs else None
        return self.name if text is None else str(text)

    @property
    def description_class(self) -> str | None:  # type: ignore[override]
        """The set's `descriptionClass`."""
        return force(self._attrs["descriptionClass"]) if "descriptionClass" in self._attrs else None

    def value(self) -> Any:
        """The set itself."""
        return self._attrs

    def check(self, value: Value) -> bool:
        """Ask the set's `check`."""
        if self._check is None:
            self._check = force(self._attrs["check"])
        return force(call(self._check, value)) is True

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """Ask the set's `merge`."""
        if self._merge is None:
            self._merge = force(self._attrs["merge"])
        return call(self._merge, list(loc), [definition.as_value() for definition in definitions])

    def sub_options(self, prefix: Loc) -> Value:
        """Ask the set's `getSubOptions`."""
        return call(self._attrs["getSubOptions"], list(prefix)) if "getSubOptions" in self._attrs else {}

    def sub_modules(self) -> list[Value] | None:
        """The set's `getSubModules`."""
        return force(self._attrs["getSubModules"]) if "getSubModules" in self._attrs else None

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """Ask the set's `substSubModules`."""
        return type_from_value(call(self._attrs["substSubModules"], modules))

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Ask the set's `typeMerge` about the other's `functor`."""
        if "typeMerge" not in self._attrs or "functor" not in other.value():
            return None
        merged = force(call(self._attrs["typeMerge"], other.value()["functor"]))
        return None if merged is None else type_from_value(merged)

    def nested(self) -> dict[str, OptionType]:
        """The set's `nestedTypes`."""
        if "nestedTypes" not in self._attrs:
            return {}
        return {name: type_from_value(one) for name, one in force(self._attrs["nestedTypes"]).items()}


def type_from_value(value: Value, where: str = "") -> OptionType:
    """The option type that a Nix value is. Raises OptionError when it is none."""
    forced = force(value)
    if isinstance(forced, TypeAttrs):
        return forced.native
    if isinstance(forced, dict) and "_type" in forced and force(forced["_type"]) == "option-type":
        return ForeignType(forced)
    what = f"a {type_name(forced)}" if not isinstance(forced, dict) else 'a set without `_type = "option-type"\''
    raise OptionError(
        f"an option type was expected{where}, but this is {what}",
        hint="types are in lib.types, e.g. types.str or types.listOf types.int",
    )


def loc_from_value(value: Value) -> Loc:
    """A list of Nix strings as an option path."""
    return tuple(str(force(part)) for part in force(value))


def definitions_from_value(value: Value) -> list[Definition]:
    """A Nix list of `{ file, value }`."""
    return [definition_from_value(one) for one in force(value)]


def _merge(native: OptionType, loc: Value, definitions: Value) -> Value:
    found = definitions_from_value(definitions)
    for definition in found:
        definition.value = force(definition.value)
    return native.merge(loc_from_value(loc), found)


def _substitute(native: OptionType, modules: Value) -> Value:
    if native.sub_modules() is None:
        return None
    return native.with_sub_modules(list(force(modules))).value()


def _type_merge(native: OptionType, functor: Value) -> Value:
    attrs = force(functor)
    if isinstance(attrs, FunctorAttrs):
        merged = native.merge_type(attrs.native)
        return None if merged is None else merged.value()
    if str(force(attrs["name"])) == native.name and not native.nested():
        return native.value()
    return None
