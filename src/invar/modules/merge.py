"""From all definitions of one option to its value: properties resolved, type checked, merged; and the common merges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from invar.modules.errors import OptionError
from invar.modules.functions import is_function
from invar.modules.properties import DEFAULT_PRIORITY, Definition, discharge, in_order, property_tag, strongest
from invar.modules.render import show_definitions, show_files, show_option
from invar.nix.operators import equal
from invar.nix.runtime import call, force
from invar.nix.values import Primop, Value, context_of, with_context

if TYPE_CHECKING:
    from invar.modules.types.base import OptionType

Loc = tuple[str, ...]

PRIORITY_HINT = "use `lib.mkForce value' or `lib.mkDefault value' to change the priority of one of these definitions"


class Merged:
    """The definitions of one option that count, and their merged value on demand."""

    __slots__ = ("definitions", "highest_priority", "loc", "type")

    def __init__(self, loc: Loc, type_: OptionType, definitions: list[Definition], highest_priority: int) -> None:
        self.loc = loc
        self.type = type_
        self.definitions = definitions
        self.highest_priority = highest_priority

    @property
    def is_defined(self) -> bool:
        """Whether any definition remained."""
        return bool(self.definitions)

    def value(self) -> Value:
        """The merged value. Raises OptionError when there is no definition or one of the wrong type."""
        definitions = self.definitions
        if not definitions:
            raise OptionError(
                f"The option `{show_option(self.loc)}' is used but not defined.", loc=self.loc, hint="set the option"
            )
        check = self.type.check
        for definition in definitions:
            value = definition.value = force(definition.value)
            if not check(value):
                raise self._wrong_type()
        return self.type.merge(self.loc, definitions)

    def _wrong_type(self) -> OptionError:
        invalid = [definition for definition in self.definitions if not self.type.check(force(definition.value))]
        return fault(
            self.loc,
            invalid,
            f"A definition for option `{show_option(self.loc)}' is not of type `{self.type.description}'. "
            f"Definition values:{show_definitions(invalid)}",
            hint=_wrong_type_hint(invalid),
        )


def merge_definitions(loc: Loc, type_: OptionType, definitions: Sequence[Definition]) -> Merged:
    """Decide conditions, keep the strongest priority, put in order. Values are merged later, by `Merged.value`."""
    if len(definitions) == 1:
        final = discharge(definitions[0])
    else:
        final = []
        for definition in definitions:
            final += discharge(definition)
    final, highest = strongest(final)
    return Merged(loc, type_, in_order(final), highest if final else DEFAULT_PRIORITY)


def _wrong_type_hint(invalid: list[Definition]) -> str | None:
    tags = {property_tag(force(definition.value)) for definition in invalid}
    if "if" in tags or "merge" in tags:
        return "mkIf and mkMerge are not looked for inside mkForce, mkDefault or mkOrder: put them outside"
    if "order" in tags or "override" in tags:
        return "mkBefore, mkAfter, mkForce and mkDefault cannot be nested like this"
    return None


def fault(loc: Loc, definitions: Sequence[Definition], message: str, *, hint: str | None = None) -> OptionError:
    """The error of an option whose definitions are wrong: points at them, and names the declaration."""
    option = next((definition.option for definition in definitions if definition.option is not None), None)
    return OptionError(
        message,
        places=[(definition.file, definition.position()) for definition in definitions],
        hint=hint,
        loc=loc,
        declared=None if option is None else option.places(),
    )


# --- merges ----------------------------------------------------------------------------------------------------------


def merge_equal(loc: Loc, definitions: list[Definition]) -> Value:
    """The value on which all definitions agree. Raises OptionError naming the first two that differ."""
    first = definitions[0]
    for other in definitions[1:]:
        if not equal(first.value, other.value):
            raise fault(
                loc,
                definitions,
                f"The option `{show_option(loc)}' has conflicting definition values:{show_definitions(definitions)}",
                hint=PRIORITY_HINT,
            )
    return force(first.value)


def merge_one(loc: Loc, definitions: list[Definition], message: str = "") -> Value:
    """The value of the only definition. Raises OptionError when there are several."""
    if len(definitions) == 1:
        return definitions[0].value
    note = f"\n{message}" if message else ""
    raise fault(
        loc,
        definitions,
        f"The option `{show_option(loc)}' is defined multiple times while it's expected to be unique.{note}\n"
        f"Definition values:{show_definitions(definitions)}",
        hint=PRIORITY_HINT,
    )


def merge_default(loc: Loc, definitions: list[Definition]) -> Value:
    """The merge of options without a type: lists and strings joined, sets united, booleans or-ed, functions merged."""
    if len(definitions) == 1:
        return definitions[0].value
    values = [force(definition.value) for definition in definitions]
    if all(is_function(value) for value in values):
        return Primop(
            "mergedFunction",
            1,
            lambda argument: merge_default(
                loc, [definition.with_value(call(definition.value, argument)) for definition in definitions]
            ),
        )
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    if all(isinstance(value, dict) for value in values):
        return unite(values)
    if all(isinstance(value, bool) for value in values):
        return any(values)
    if all(isinstance(value, str) for value in values):
        return join_strings("", values)
    if all(isinstance(value, int) and value == values[0] for value in values):
        return values[0]
    raise fault(
        loc,
        definitions,
        f"Cannot merge definitions of `{show_option(loc)}'. Definition values:{show_definitions(definitions)}",
        hint=PRIORITY_HINT,
    )


def unite(values: Sequence[dict[str, Value]]) -> dict[str, Value]:
    """`a // b // ...`"""
    united: dict[str, Value] = {}
    for value in values:
        united.update(value)
    return united


def join_strings(separator: str, values: Sequence[Value]) -> Value:
    """Strings joined, their contexts united."""
    context: frozenset[str] = frozenset().union(*(context_of(value) for value in values))
    return with_context(separator.join(values), context)


def both_null_and_not(loc: Loc, definitions: list[Definition]) -> OptionError:
    """The error of `nullOr` when some definitions are null and some are not."""
    return fault(
        loc,
        definitions,
        f"The option `{show_option(loc)}' is defined both null and not null, in "
        f"{show_files(definition.file for definition in definitions)}.",
        hint=PRIORITY_HINT,
    )
