"""The tree of options: declarations of all modules merged, each option evaluated when its value is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from invar.modules.errors import OptionError
from invar.modules.merge import Loc, Merged, merge_definitions
from invar.modules.properties import OPTION_DEFAULT_PRIORITY, Definition, Override, discharge, push_down
from invar.modules.render import UNKNOWN_FILE, show_definitions, show_option, show_place, show_value
from invar.modules.types.base import OptionType, TypeAttrs, type_from_value
from invar.modules.types.scalars import unspecified_type
from invar.nix.errors import NixError, NixInfiniteRecursion, add_context
from invar.nix.runtime import blackhole, call, delay, force, thunk
from invar.nix.values import Pos, Primop, Thunk, Value, site_names, type_name

NestedOptions = Callable[[str, Value], OptionType]
"""Makes the submodule type of a set of options that a module (file) declares."""

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
    type_ = _located(_declared_type(attributes, option, first), first.file)
    for number, declaration in enumerate(declarations[1:], 1):
        more: dict[str, Value] = force(declaration.value)
        clash: str | None = next((name for name in _SINGLE if name in attributes and name in more), None)
        merged = type_
        if "type" in more:
            declared = _declared_type(more, option, declaration)
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


def _declared_type(attributes: dict[str, Value], option: Option, declaration: Declaration) -> OptionType:
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


class Group:
    """A set of options (the root of the tree is one) and what the modules define in it."""

    __slots__ = ("_by_name", "_declarations", "_definitions", "_names", "_nested", "_nodes", "loc")

    def __init__(
        self,
        loc: Loc,
        declarations: list[Declaration],
        definitions: Callable[[], list[Definition]],
        nested: NestedOptions,
    ) -> None:
        self.loc = loc
        self._declarations = declarations
        self._definitions = definitions
        self._nested = nested
        self._names: dict[str, list[Declaration]] | None = None
        self._nodes: dict[str, Option | Group] = {}
        self._by_name: Thunk = thunk(_definitions_by_name, self)

    def names(self) -> dict[str, list[Declaration]]:
        """What is declared under each name. Raises OptionError when some module declares no set here."""
        if self._names is None:
            names: dict[str, list[Declaration]] = {}
            for declaration in self._declarations:
                options = force(declaration.value)
                if not isinstance(options, dict):
                    raise _no_set_of_options(self.loc, declaration, options)
                file = declaration.file
                for key, value in options.items():
                    one = Declaration(file, key, value)
                    known = names.get(key)
                    if known is None:
                        names[key] = [one]
                    else:
                        known.append(one)
            self._names = names
        return self._names

    def node(self, name: str) -> Option | Group:
        """The option or group under a declared name."""
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = self._make_node(name)
        return node

    def definitions_of(self, name: str) -> list[Definition]:
        """The definitions under a name, properties pushed down."""
        return self.definitions_by_name().get(name, [])

    def definitions_by_name(self) -> dict[str, list[Definition]]:
        """All definitions in the group, by name."""
        if self._by_name.code is blackhole:
            what = f"of `{show_option(self.loc)}'" if self.loc else "of a module"
            raise NixInfiniteRecursion(
                f"infinite recursion encountered: the names of the definitions {what} depend on `config'",
                hint="use `mkIf condition { ... }' instead of `if' or `optionalAttrs' around definitions",
            )
        return force(self._by_name)  # type: ignore[no-any-return]

    def config(self) -> dict[str, Value]:
        """The values of all options below, as an attribute set that evaluates each on demand."""
        return {name: thunk(_config_of, (self, name)) for name in self.names()}

    def show(self) -> dict[str, Value]:
        """The options below, as they stand in the `options` tree."""
        return {name: thunk(_show_of, (self, name)) for name in self.names()}

    def unmatched(self) -> list[tuple[Loc, Definition]]:
        """The definitions for which no option is declared, with their paths."""
        found: list[tuple[Loc, Definition]] = []
        names = self.names()
        for name, definitions in self.definitions_by_name().items():
            if name in names:
                node = self.node(name)
                if isinstance(node, Group):
                    found += node.unmatched()
            else:
                key = (*self.loc, name)
                found += [(key, definition) for definition in definitions]
        return found

    def _make_node(self, name: str) -> Option | Group:
        loc = (*self.loc, name)
        declarations = self.names()[name]
        options = [one for one in declarations if _is_option(one.value)]

        def definitions() -> list[Definition]:
            return self.definitions_of(name)

        if len(options) == len(declarations):
            return Option(loc, declarations, definitions)
        if not options:
            return Group(loc, declarations, definitions, self._nested)
        types = [_declared_type(force(one.value), Option(loc, [one], list), one) for one in options]
        plain = next((one for one, type_ in zip(options, types, strict=True) if type_.sub_modules() is None), None)
        if plain is not None:
            raise _parent_of_options(loc, plain, [one for one in declarations if one not in options])
        joined = [
            one
            if one in options
            else Declaration(one.file, one.key, {"_type": "option", "type": self._nested(one.file, one.value).value()})
            for one in declarations
        ]
        return Option(loc, joined, definitions)


def _is_option(value: Value) -> bool:
    value = force(value)
    return isinstance(value, dict) and "_type" in value and force(value["_type"]) == "option"


def _config_of(where: tuple[Group, str]) -> Value:
    group, name = where
    node = group.node(name)
    return force(node.value) if isinstance(node, Option) else node.config()


def _show_of(where: tuple[Group, str]) -> Value:
    group, name = where
    return group.node(name).show()


def _definitions_by_name(group: Group) -> dict[str, list[Definition]]:
    by_name: dict[str, list[Definition]] = {}
    for definition in group._definitions():
        for attrs, pushed in push_down(definition):
            if not isinstance(attrs, dict):
                raise _no_set_of_definitions(group.loc, pushed, attrs)
            file, wraps = pushed.file, pushed.wraps
            for key, value in attrs.items():
                one = Definition(file, value, wraps, key)
                known = by_name.get(key)
                if known is None:
                    by_name[key] = [one]
                else:
                    known.append(one)
    return by_name


def _no_set_of_definitions(loc: Loc, definition: Definition, value: Value) -> OptionError:
    if not loc:
        return OptionError(f"The `config' of the module `{definition.file}' is {type_name(value)}, not a set.")
    name = show_option(loc)
    return OptionError(
        f"In module {show_place(definition.file, definition.position())}, you're trying to define a value of type "
        f"`{type_name(value)}' rather than an attribute set for the option `{name}'! Its value is {show_value(value)}.",
        places=[(definition.file, definition.position())],
        hint=f"`{name}' is not an option but a set of options: set one of those",
    )


def _no_set_of_options(loc: Loc, declaration: Declaration, value: Value) -> OptionError:
    name = show_option(("options", *loc))
    return OptionError(
        f"In module {declaration.place()}, `{name}' is {type_name(value)}: expected an option or a set of options.",
        places=[(declaration.file, declaration.position())],
        hint="declare options with lib.mkOption" + ("; definitions belong under `config'" if loc else ""),
    )


def _parent_of_options(loc: Loc, option: Declaration, below: Sequence[Declaration]) -> OptionError:
    name = show_option(loc)
    type_ = type_from_value(force(option.value)["type"]).description if "type" in force(option.value) else "unspecified"
    listed = "".join(
        f"\n- option(s) with prefix `{show_option((*loc, key))}' in {one.place()}"
        for one in below
        for key in sorted(force(one.value))
    )
    return OptionError(
        f"The option `{name}' in {option.place()} would be a parent of the following options, but its type "
        f"`{type_}' does not support nested options.{listed}",
        places=[(option.file, option.position())],
        hint="give it the type `types.submodule { }', or declare the others elsewhere",
    )
