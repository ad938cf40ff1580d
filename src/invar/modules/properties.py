"""Properties of definitions: conditions, merges, priorities and order, and how they move down and are resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from invar.modules.errors import OptionError
from invar.nix.runtime import force
from invar.nix.values import Pos, Value, site_names, type_name

DEFAULT_PRIORITY: Final = 100
"""Priority of a definition without `mkOverride`; the lowest number wins."""
OPTION_DEFAULT_PRIORITY: Final = 1500
DEFAULT_ORDER: Final = 1000
"""Order of a definition without `mkOrder`; lower comes first."""


class Override:
    """`mkOverride`'s mark among the properties that surround a definition."""

    __slots__ = ("priority",)

    def __init__(self, priority: int) -> None:
        self.priority = priority


class Declared(Protocol):
    """What knows where it is declared: an option."""

    def places(self) -> str | None:
        """`file:line` of the declarations, or None."""


class Definition:
    """One value that one module gives to one option.

    `wraps` are the properties pushed down onto it, outermost first: an `Override`, or else the condition of a `mkIf`
    (a Nix value). `key` is the very name object under which an attribute set holds it, which knows its line.
    `option` is the option that is being merged, once that is known.
    """

    __slots__ = ("file", "key", "option", "priority", "value", "wraps")

    def __init__(
        self,
        file: str,
        value: Value,
        wraps: tuple[Value | Override, ...] = (),
        key: str = "",
        priority: int = DEFAULT_PRIORITY,
        option: Declared | None = None,
    ) -> None:
        self.file = file
        self.value = value
        self.wraps = wraps
        self.key = key
        self.priority = priority
        self.option = option

    def position(self) -> Pos | None:
        """Where the definition is written, when its name knows."""
        return site_names.place(self.key)

    def with_value(self, value: Value) -> Definition:
        """The same definition (file, place, priority) of another value, without properties."""
        return Definition(self.file, value, (), self.key, self.priority, self.option)

    def entry(self, value: Value, key: str | None = None) -> Definition:
        """A part of the value (an element, or the attribute `key`) as a definition of its own, not yet decided."""
        return Definition(self.file, value, (), self.key if key is None else key, DEFAULT_PRIORITY, self.option)

    def as_value(self) -> dict[str, Value]:
        """`{ file, value }`, the shape in which Nix functions see definitions."""
        return DefinitionAttrs(self)


class DefinitionAttrs(dict[str, Value]):
    """`{ file, value }` that remembers the definition it shows."""

    __slots__ = ("definition",)

    def __init__(self, definition: Definition) -> None:
        super().__init__({"file": definition.file, "value": definition.value})
        self.definition = definition


def definition_from_value(value: Value) -> Definition:
    """The definition in a `{ file, value }` that came back from Nix."""
    attrs = force(value)
    if isinstance(attrs, DefinitionAttrs):
        return attrs.definition
    return Definition(str(force(attrs["file"])), attrs["value"], (), next(key for key in attrs if key == "value"))


def push_down(definition: Definition) -> Iterator[tuple[dict[str, Value], Definition]]:
    """The attribute sets that a definition of a group of options consists of, each with its properties in `wraps`.

    Conditions stay unevaluated: only what they guard is looked at. Raises OptionError when it is no attribute set.
    """
    value = force(definition.value)
    tag = property_tag(value)
    if tag is None:
        yield value, definition
    elif tag == "if":
        wraps = (*definition.wraps, value["condition"])
        yield from push_down(_within(definition, value, wraps))
    elif tag == "merge":
        for content in force(value["contents"]):
            yield from push_down(Definition(definition.file, content, definition.wraps, definition.key))
    elif tag == "override":
        wraps = (*definition.wraps, Override(force(value["priority"])))
        yield from push_down(_within(definition, value, wraps))
    else:
        yield value, definition


def discharge(definition: Definition) -> list[Definition]:
    """The definitions that remain after conditions are decided and merges are opened, each with its priority."""
    remaining: list[Definition] = []
    wraps = definition.wraps
    for index, wrap in enumerate(wraps):
        if wrap.__class__ is Override:
            value = rewrap(definition.value, wraps[index + 1 :])
            final = definition.with_value(value)
            final.priority = wrap.priority
            return [final]
        if not _condition(wrap, definition):
            return remaining
    _discharge_value(definition, force(definition.value), remaining)
    return remaining


def _discharge_value(definition: Definition, value: Value, remaining: list[Definition]) -> None:
    tag = property_tag(value)
    if tag is None or tag == "order":
        unchanged = value is definition.value and not definition.wraps
        remaining.append(definition if unchanged else definition.with_value(value))
    elif tag == "if":
        if _condition(value["condition"], definition):
            _discharge_value(_within(definition, value), force(value["content"]), remaining)
    elif tag == "merge":
        for content in force(value["contents"]):
            _discharge_value(definition, force(content), remaining)
    elif tag == "override":
        final = _within(definition, value)
        final.priority = force(value["priority"])
        remaining.append(final)
    else:
        remaining.append(definition.with_value(value))


def _within(definition: Definition, tagged: dict[str, Value], wraps: tuple[Value | Override, ...] = ()) -> Definition:
    return Definition(definition.file, tagged["content"], wraps, definition.key, option=definition.option)


def _condition(condition: Value, definition: Definition) -> bool:
    decided = force(condition)
    if decided is True or decided is False:
        return decided
    raise OptionError(
        f"mkIf called with a non-Boolean condition: it is {type_name(decided)}",
        places=[(definition.file, definition.position())],
        hint="compare explicitly, e.g. mkIf (x != null) { ... }",
    )


def property_tag(value: Value) -> str | None:
    """`if`, `merge`, `override` or `order` when a (forced) value carries such a property, else None."""
    if isinstance(value, dict) and "_type" in value:
        tag = force(value["_type"])
        if tag in _PROPERTIES:
            return str(tag)
    return None


_PROPERTIES = frozenset({"if", "merge", "override", "order"})


def rewrap(value: Value, wraps: Iterable[Value | Override]) -> Value:
    """A value inside the Nix form of the given properties."""
    for wrap in reversed(list(wraps)):
        if isinstance(wrap, Override):
            value = {"_type": "override", "priority": wrap.priority, "content": value}
        else:
            value = {"_type": "if", "condition": wrap, "content": value}
    return value


def strongest(definitions: list[Definition]) -> tuple[list[Definition], int]:
    """The definitions of the lowest priority number, and that number."""
    highest = min((definition.priority for definition in definitions), default=DEFAULT_PRIORITY)
    for definition in definitions:
        if definition.priority != highest:
            return [one for one in definitions if one.priority == highest], highest
    return definitions, highest


def in_order(definitions: list[Definition]) -> list[Definition]:
    """Definitions by `mkOrder` (stable), with that property taken off. Values are forced."""
    ordered = False
    orders: list[int] = []
    for definition in definitions:
        value = definition.value = force(definition.value)
        if isinstance(value, dict) and "_type" in value and force(value["_type"]) == "order":
            orders.append(force(value["priority"]))
            ordered = True
        else:
            orders.append(DEFAULT_ORDER)
    if not ordered:
        return definitions
    stripped = []
    for index in sorted(range(len(definitions)), key=orders.__getitem__):
        definition = definitions[index]
        value = definition.value
        if isinstance(value, dict) and "_type" in value and force(value["_type"]) == "order":
            definition = definition.with_value(value["content"])
        stripped.append(definition)
    return stripped
