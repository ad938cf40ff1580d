"""Types with elements: lists, attribute sets, functions, and values of any shape."""

from __future__ import annotations

from collections.abc import Callable

from invar.modules.functions import is_function
from invar.modules.merge import Loc, fault, merge_definitions, merge_equal, merge_one
from invar.modules.properties import Definition
from invar.modules.render import show_definitions, show_option
from invar.modules.types.base import ElementType, OptionType
from invar.modules.types.scalars import is_string_like
from invar.nix.runtime import application, delay, force, thunk
from invar.nix.values import Primop, Value, type_name


class ListOf(ElementType):
    """Lists, concatenated; elements are checked and merged one by one when they are used."""

    name = "listOf"

    def __init__(self, element: OptionType | Callable[[], OptionType], *, non_empty: bool = False) -> None:
        super().__init__(element)
        self.non_empty = non_empty
        self.empty_value = () if non_empty else ([],)

    @property
    def description(self) -> str:  # type: ignore[override]
        """ "list of ..." or "non-empty (list of ...)" """
        plain = f"list of {self.element.noun_phrase()}"
        return f"non-empty ({plain})" if self.non_empty else plain

    def check(self, value: Value) -> bool:
        """Whether it is a list (not an empty one, when that is asked for)."""
        return isinstance(value, list) and (not self.non_empty or bool(value))

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """The elements of all definitions; an element that is a false `mkIf` is left out."""
        element = self.element
        merged: list[Value] = []
        for number, definition in enumerate(definitions, 1):
            for index, item in enumerate(force(definition.value), 1):
                entry = definition.entry(item)
                entry_loc = (*loc, f"[definition {number}-entry {index}]")
                found = merge_definitions(entry_loc, element, (entry,))
                if found.definitions:
                    merged.append(delay(found.value))
        return merged

    def sub_options(self, prefix: Loc) -> Value:
        """The element's, below `*`."""
        return self.element.sub_options((*prefix, "*"))

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """Lists of the element with other submodules."""
        return ListOf(self.element.with_sub_modules(modules), non_empty=self.non_empty)

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Lists of the merged element type."""
        if not isinstance(other, ListOf):
            return None
        element = self.element.merge_type(other.element)
        return None if element is None else ListOf(element, non_empty=self.non_empty)


class AttrsOf(ElementType):
    """Attribute sets merged by name. The lazy kind decides conditions only when a value is used."""

    def __init__(
        self, element: OptionType | Callable[[], OptionType], *, lazy: bool = False, placeholder: str = "name"
    ) -> None:
        super().__init__(element)
        self.lazy = lazy
        self.placeholder = placeholder
        self.name = "lazyAttrsOf" if lazy else "attrsOf"
        self.empty_value = ({},)

    @property
    def description(self) -> str:  # type: ignore[override]
        """ "attribute set of ..." """
        return f"{'lazy ' if self.lazy else ''}attribute set of {self.element.noun_phrase()}"

    def check(self, value: Value) -> bool:
        """Whether it is an attribute set."""
        return isinstance(value, dict)

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """One attribute for each name in any definition."""
        by_name: dict[str, list[Definition]] = {}
        for definition in definitions:
            for name, value in force(definition.value).items():
                entry = definition.entry(value, name)
                known = by_name.get(name)
                if known is None:
                    by_name[name] = [entry]
                else:
                    known.append(entry)
        element = self.element
        merged: dict[str, Value] = {}
        for name in sorted(by_name):
            entries = by_name[name]
            if self.lazy:
                merged[name] = thunk(_lazy_value, (element, (*loc, name), entries))
            else:
                found = merge_definitions((*loc, name), element, entries)
                if found.definitions:
                    merged[name] = delay(found.value)
        return merged

    def sub_options(self, prefix: Loc) -> Value:
        """The element's, below `<name>`."""
        return self.element.sub_options((*prefix, f"<{self.placeholder}>"))

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """Sets of the element with other submodules."""
        return AttrsOf(self.element.with_sub_modules(modules), lazy=self.lazy, placeholder=self.placeholder)

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Sets of the merged element type, when both are lazy or both are not."""
        if not isinstance(other, AttrsOf) or other.lazy != self.lazy:
            return None
        placeholders = {self.placeholder, other.placeholder} - {"name"}
        element = self.element.merge_type(other.element)
        if element is None or len(placeholders) > 1:
            return None
        return AttrsOf(element, lazy=self.lazy, placeholder=min(placeholders, default="name"))

    def payload(self) -> dict[str, Value]:
        """Element type, laziness and placeholder."""
        return {"elemType": self.element.value(), "lazy": self.lazy, "placeholder": self.placeholder}


def _lazy_value(what: tuple[OptionType, Loc, list[Definition]]) -> Value:
    element, loc, entries = what
    found = merge_definitions(loc, element, entries)
    if not found.definitions and element.empty_value:
        return element.empty_value[0]
    return force(found.value())


class FunctionTo(ElementType):
    """Functions; what several definitions return is merged."""

    name = "functionTo"

    @property
    def description(self) -> str:  # type: ignore[override]
        """ "function that evaluates to a(n) ..." """
        return f"function that evaluates to a(n) {self.element.noun_phrase()}"

    def check(self, value: Value) -> bool:
        """Whether it can be called."""
        return bool(is_function(value))

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """A function that merges what the definitions return."""

        def merged(argument: Value) -> Value:
            results = [definition.entry(application(definition.value, argument)) for definition in definitions]
            return merge_definitions((*loc, "<function body>"), self.element, results).value()

        return Primop("functionTo", 1, merged)

    def sub_options(self, prefix: Loc) -> Value:
        """The result's, below `<function body>`."""
        return self.element.sub_options((*prefix, "<function body>"))

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """Functions to the element with other submodules."""
        return FunctionTo(self.element.with_sub_modules(modules))

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Functions to the merged type."""
        if not isinstance(other, FunctionTo):
            return None
        element = self.element.merge_type(other.element)
        return None if element is None else FunctionTo(element)


class Anything(OptionType):
    """Any value; sets merge recursively, functions by their results, everything else must be equal."""

    name = "anything"
    description = "anything"
    description_class = "noun"

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """Merge by the kind that all definitions share."""
        kinds = {_kind(definition.value) for definition in definitions}
        if len(kinds) > 1:
            raise fault(
                loc,
                definitions,
                f"The option `{show_option(loc)}' has conflicting option types: {' and '.join(sorted(kinds))}. "
                f"Definition values:{show_definitions(definitions)}",
            )
        kind = kinds.pop()
        if kind == "a set":
            return AttrsOf(self).merge(loc, definitions)
        if kind == "a package":
            return merge_one(loc, definitions)
        if kind == "a function":
            if len(definitions) == 1:
                return definitions[0].value
            return FunctionTo(self).merge(loc, definitions)
        return merge_equal(loc, definitions)


def _kind(value: Value) -> str:
    value = force(value)
    if is_function(value):
        return "a function"
    if isinstance(value, dict):
        return "a package" if is_string_like(value) else "a set"
    return type_name(value)
