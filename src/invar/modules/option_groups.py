"""Sets of options: what the modules declare and define under each name, and what is defined but not declared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from invar.modules.errors import OptionError
from invar.modules.merge import Loc
from invar.modules.options import Declaration, Option, declared_type
from invar.modules.properties import Definition, push_down
from invar.modules.render import show_option, show_place, show_value
from invar.modules.types.base import OptionType, type_from_value
from invar.nix.errors import NixInfiniteRecursion
from invar.nix.runtime import blackhole, force, thunk
from invar.nix.values import Thunk, Value, type_name

NestedOptions = Callable[[str, Value], OptionType]
"""Makes the submodule type of a set of options that a module (file) declares."""


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
        types = [declared_type(force(one.value), Option(loc, [one], list), one) for one in options]
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
