"""An option: the declarations of all modules merged, and its value, evaluated when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from invar.modules.errors import OptionError
from invar.modules.merge import Loc, Merged, merge_definitions
from invar.modules.properties import OPTION_DEFAULT_PRIORITY, Definition, Override, discharge
from invar.modules.render import UNKNOWN_FILE, show_definitions, show_option, show_place
from invar.modules.types.base import OptionType, TypeAttrs, type_from_value
from invar.modules.types.scalars import unspecified_type
from invar.nix.errors import NixError, NixInfiniteRecursion, add_context
from invar.nix.runtime import call, delay, force, thunk
from invar.nix.values import Pos, Primop, Thunk, Value, site_names

_SINGLE: Final = ("default", "example", "description", "apply")
_DEFAULT_WRAP: Final = (Override(OPTION_DEFAULT_PRIORITY),)


class Declaration:
    """What one module says under one name of `options`: an option, or a set of options. `key` knows its line."""

    __slots__ = ("file", "key", "value")

    def __init__(self, file: str, key: str, value: Value) -> None:
        self.file = file
        self.key = key
        self.value = value

    def position(self) -> Pos | None:
        """Where it is written."""
        return site_names.place(self.key)

    def place(self) -> str:
        """`file:line`, or the file."""
        return show_place(self.file, self.position())


class Option:
    """One option: its merged declaration, its definitions and its value, each computed once, when needed."""

    __slots__ = ("_definitions", "_merged", "_spec", "_value", "declarations", "loc")

    def __init__(self, loc: Loc, declarations: list[Declaration], definitions: Callable[[], list[Definition]]) -> None:
        self.loc = loc
        self.declarations = declarations
        self._definitions = definitions
        self._spec: Thunk = thunk(_merge_declarations, self)
        self._merged: Thunk = thunk(_merge_option, self)
        self._value: Thunk = thunk(_evaluate_option, self)

    @property
    def attributes(self) -> dict[str, Value]:
        """The attributes given to `mkOption`, of all declarations."""
        return force(self._spec)[0]  # type: ignore[no-any-return]

    @property
    def type(self) -> OptionType:
        """The type on which all declarations agree. Raises OptionError when they do not."""
        return force(self._spec)[1]  # type: ignore[no-any-return]

    @property
    def value(self) -> Value:
        """The value, as a thunk."""
        return self._value

    def merged(self) -> Merged:
        """The definitions that count."""
        return force(self._merged)  # type: ignore[no-any-return]

    def definitions(self) -> list[Definition]:
        """All definitions as the modules give them, the default (if any) first."""
        attributes = self.attributes
        given = self._definitions()
        if "default" in attributes:
            key = next(name for name in attributes if name == "default")
            default = Definition(self.declarations[0].file, attributes["default"], _DEFAULT_WRAP, key)
            return [default, *given]
        return given

    def places(self) -> str | None:
        """Where it is declared, for messages; None when nothing is known of that."""
        known = [one for one in self.declarations if one.file != UNKNOWN_FILE or one.position() is not None]
        return " and ".join(declaration.place() for declaration in known) or None

    def show(self) -> dict[str, Value]:
        """The option as it stands in the `options` tree."""
        merged = self.merged
        return {
            **self.attributes,
            "_type": "option",
            "type": delay(lambda: self.type.value()),
            "loc": list(self.loc),
            "declarations": [declaration.file for declaration in self.declarations],
            "declarationPositions": [_position_value(declaration) for declaration in self.declarations],
            "options": [],
            "value": self._value,
            "isDefined": delay(lambda: merged().is_defined),
            "highestPrio": delay(lambda: merged().highest_priority),
            "definitions": delay(lambda: [definition.value for definition in merged().definitions]),
            "definitionsWithLocations": delay(lambda: [definition.as_value() for definition in merged().definitions]),
            "files": delay(lambda: [definition.file for definition in merged().definitions]),
            "definitionsWithPriorities": delay(self._all_definitions),
            "__toString": Primop("showOption", 1, lambda _: show_option(self.loc)),
        }

    def _all_definitions(self) -> list[Value]:
        """Every definition, also those that a stronger one hides: Invar's own addition to an option's attributes."""
        merged = self.merged()
        every = [one for definition in self.definitions() for one in discharge(definition)]
        return [
            {
                "file": one.file,
                "position": None if (pos := one.position()) is None else {"file": pos.file, "line": pos.line},
                "priority": one.priority,
                "used": one.priority == merged.highest_priority,
                "value": one.value,
            }
            for one in every
        ]


def _merge_declarations(option: Option) -> tuple[dict[str, Value], OptionType]:
    declarations = option.declarations
    first = declarations[0]
    attributes: dict[str, Value] = force(first.value)
    type_ = _located(declared_type(attributes, option, first), first.file)
    for number, declaration in enumerate(declarations[1:], 1):
        more: dict[str, Value] = force(declaration.value)
        clash: str | None = next((name for name in _SINGLE if name in attributes and name in more), None)
        merged = type_
        if "type" in more:
            declared = declared_type(more, option, declaration)
            if "type" in attributes:
                joined = type_.merge_type(_located(declared, declaration.file))
                if joined is None:
                    clash = clash or "type"
                else:
                    merged = joined
            else:
                merged = declared
        if clash is not None:
            raise _declared_twice(option, declaration, declarations[:number], clash)
        type_ = merged
        attributes = {**more, **attributes}
    return attributes, type_


def declared_type(attributes: dict[str, Value], option: Option, declaration: Declaration) -> OptionType:
    if "type" not in attributes:
        return unspecified_type
    try:
        given = force(attributes["type"])
        if isinstance(given, TypeAttrs):
            return given.native
        return type_from_value(given, f" as `type' of the option `{show_option(option.loc)}'")
    except NixError as error:
        add_context(
            error, f"while evaluating the type of the option `{show_option(option.loc)}'", declaration.position()
        )
        raise


def _located(type_: OptionType, file: str) -> OptionType:
    """The type with submodules that know in which file they are declared."""
    modules = type_.sub_modules()
    if not modules:
        return type_
    return type_.with_sub_modules([{"_file": file, "imports": [module]} for module in modules])


def _declared_twice(option: Option, declaration: Declaration, before: Sequence[Declaration], what: str) -> OptionError:
    name = show_option(option.loc)
    others = " and ".join(other.place() for other in before)
    if what == "type":
        reason = "with a type that cannot be merged with this one"
    else:
        reason = f"and both declarations give a `{what}'"
    return OptionError(
        f"The option `{name}' in {declaration.place()} is already declared in {others}, {reason}.",
        places=[(declaration.file, declaration.position())],
        hint="declare the option once; other modules only define it (under `config')",
    )


def _merge_option(option: Option) -> Merged:
    definitions = option.definitions()
    for definition in definitions:
        definition.option = option
    attributes = option.attributes
    if len(definitions) > 1 and "readOnly" in attributes and force(attributes["readOnly"]) is True:
        raise OptionError(
            f"The option `{show_option(option.loc)}' is read-only, but it's set multiple times. "
            f"Definition values:{show_definitions(definitions)}",
            places=[(definition.file, definition.position()) for definition in reversed(definitions)],
            loc=option.loc,
        )
    return merge_definitions(option.loc, option.type, definitions)


def _evaluate_option(option: Option) -> Value:
    try:
        merged = option.merged()
        attributes = option.attributes
        if "apply" in attributes:
            return call(attributes["apply"], delay(merged.value))
        return force(merged.value())
    except NixError as error:
        if isinstance(error, OptionError) and error.loc[: len(option.loc)] == option.loc:
            error.declare(option.places())
        elif isinstance(error, NixInfiniteRecursion) and error.hint is None:
            error.hint = f"the value of the option `{show_option(option.loc)}' depends on itself"
        if error.frames or not isinstance(error, OptionError) or error.loc != option.loc:
            place = option.declarations[0].position()
            add_context(error, f"while evaluating the option `{show_option(option.loc)}'", place)
        raise


def _position_value(declaration: Declaration) -> Value:
    position = declaration.position()
    if position is None:
        return {"file": declaration.file, "line": None, "column": None}
    return {"file": position.file, "line": position.line, "column": position.column}
