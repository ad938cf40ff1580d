"""Types made of other types: nullOr, either, coercedTo, addCheck, unique, passwdEntry, attrTag."""

from __future__ import annotations

from invar.modules.errors import OptionError
from invar.modules.merge import Loc, both_null_and_not, fault, merge_one
from invar.modules.options import Declaration, Option
from invar.modules.properties import Definition
from invar.modules.render import show_definitions, show_option
from invar.modules.types.base import ElementType, OptionType
from invar.nix.runtime import call, force
from invar.nix.values import Value


class NullOr(ElementType):
    """null, or a value of another type."""

    name = "nullOr"
    description_class = "conjunction"
    empty_value = (None,)

    @property
    def description(self) -> str:  # type: ignore[override]
        """ "null or ..." """
        return f"null or {self.element.phrase(lambda kind: kind in ('noun', 'conjunction'))}"

    def check(self, value: Value) -> bool:
        """Whether it is null or passes the other type's check."""
        return value is None or self.element.check(value)

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """null when all are, the other type's merge when none is."""
        nulls = sum(1 for definition in definitions if force(definition.value) is None)
        if nulls == 0:
            return self.element.merge(loc, definitions)
        if nulls == len(definitions):
            return None
        raise both_null_and_not(loc, definitions)

    def sub_options(self, prefix: Loc) -> Value:
        """The other type's."""
        return self.element.sub_options(prefix)

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """null or the other type with other submodules."""
        return NullOr(self.element.with_sub_modules(modules))

    def merge_type(self, other: OptionType) -> OptionType | None:
        """null or the merged type."""
        if not isinstance(other, NullOr):
            return None
        element = self.element.merge_type(other.element)
        return None if element is None else NullOr(element)


class Either(OptionType):
    """A value of one of two types; the type that all definitions pass merges them."""

    name = "either"
    description_class = "conjunction"

    def __init__(self, left: OptionType, right: OptionType) -> None:
        super().__init__()
        self.left = left
        self.right = right

    @property
    def description(self) -> str:  # type: ignore[override]
        """ "... or ..." """
        if self.left.description_class == "nonRestrictiveClause":
            right = self.right.phrase(lambda kind: kind in ("noun", "conjunction"))
            return f"{self.left.description}, or {right}"
        left = self.left.phrase(lambda kind: kind in ("noun", "conjunction"))
        right = self.right.phrase(lambda kind: kind in ("noun", "conjunction", "composite"))
        return f"{left} or {right}"

    def check(self, value: Value) -> bool:
        """Whether it passes one of both."""
        return self.left.check(value) or self.right.check(value)

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """By the left type when all definitions pass it, else by the right one."""
        for branch in (self.left, self.right):
            if all(branch.check(force(definition.value)) for definition in definitions):
                return branch.merge(loc, definitions)
        return merge_one(loc, definitions)

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Branch by branch."""
        if not isinstance(other, Either):
            return None
        left, right = self.left.merge_type(other.left), self.right.merge_type(other.right)
        return None if left is None or right is None else Either(left, right)

    def nested(self) -> dict[str, OptionType]:
        """Both types."""
        return {"left": self.left, "right": self.right}


class CoercedTo(OptionType):
    """A value of the final type, or one of another type that a function turns into it."""

    name = "coercedTo"
    description_class = "conjunction"

    def __init__(self, coerced: OptionType, function: Value, final: OptionType) -> None:
        super().__init__()
        if coerced.sub_modules() is not None:
            raise OptionError(
                f"coercedTo: the type to coerce from must not have submodules (it is {coerced.description})"
            )
        self.coerced = coerced
        self.function = function
        self.final = final
        self.empty_value = final.empty_value

    @property
    def description(self) -> str:  # type: ignore[override]
        """ "... or ... convertible to it" """
        final = self.final.phrase(lambda kind: kind == "noun")
        return f"{final} or {self.coerced.phrase(lambda kind: kind == 'noun')} convertible to it"

    def check(self, value: Value) -> bool:
        """Whether it is of the final type, or becomes so."""
        if self.coerced.check(value):
            return self.final.check(force(call(self.function, value))) or self.final.check(value)
        return self.final.check(value)

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """The final type's merge, after coercion."""
        return self.final.merge(loc, [self._coerce(definition) for definition in definitions])

    def _coerce(self, definition: Definition) -> Definition:
        value = force(definition.value)
        return definition.with_value(force(call(self.function, value))) if self.coerced.check(value) else definition

    def sub_options(self, prefix: Loc) -> Value:
        """The final type's."""
        return self.final.sub_options(prefix)

    def sub_modules(self) -> list[Value] | None:
        """The final type's."""
        return self.final.sub_modules()

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """With other submodules of the final type."""
        return CoercedTo(self.coerced, self.function, self.final.with_sub_modules(modules))

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Never: coercing functions cannot be compared."""
        return None

    def nested(self) -> dict[str, OptionType]:
        """Both types."""
        return {"coercedType": self.coerced, "finalType": self.final}


class Refined(OptionType):
    """Another type with a further check, and perhaps another name, description or rule against several definitions."""

    def __init__(
        self,
        base: OptionType,
        condition: Value = None,
        *,
        name: str | None = None,
        description: str | None = None,
        kind: str | None = None,
        unique: str | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.condition = condition
        self.unique = unique
        self.name = base.name if name is None else name
        self._described = description
        self._kind = kind
        self.empty_value = base.empty_value

    @property
    def description(self) -> str:  # type: ignore[override]
        """The other type's unless said otherwise."""
        return self.base.description if self._described is None else self._described

    @property
    def description_class(self) -> str | None:  # type: ignore[override]
        """The other type's unless said otherwise."""
        return self.base.description_class if self._kind is None else self._kind

    def check(self, value: Value) -> bool:
        """The other type's check, then the further one."""
        if not self.base.check(value):
            return False
        if self.condition is None:
            return True
        if callable(self.condition):
            return bool(self.condition(value))
        return force(call(self.condition, value)) is True

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """The other type's merge; of one definition only when it must be unique."""
        if self.unique is not None:
            merge_one(loc, definitions, self.unique)
        return self.base.merge(loc, definitions)

    def sub_options(self, prefix: Loc) -> Value:
        """The other type's."""
        return self.base.sub_options(prefix)

    def sub_modules(self) -> list[Value] | None:
        """The other type's."""
        return self.base.sub_modules()

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """The refined type with other submodules."""
        return Refined(
            self.base.with_sub_modules(modules),
            self.condition,
            name=self.name,
            description=self._described,
            kind=self._kind,
            unique=self.unique,
        )

    def merge_type(self, other: OptionType) -> OptionType | None:
        """The other type's answer; a unique type merges with a unique one."""
        if self.unique is None:
            return self.base.merge_type(other.base if isinstance(other, Refined) else other)
        if not isinstance(other, Refined) or other.unique != self.unique:
            return None
        base = self.base.merge_type(other.base)
        return None if base is None else Refined(base, name=self.name, unique=self.unique)

    def nested(self) -> dict[str, OptionType]:
        """The other type, for a unique one."""
        return {"elemType": self.base} if self.unique is not None else self.base.nested()


class AttrTag(OptionType):
    """A set of exactly one attribute, whose name says which of several types its value has."""

    name = "attrTag"
    description = "attribute-tagged union"
    description_class = "noun"

    def __init__(self, tags: dict[str, Value]) -> None:
        super().__init__()
        self.tags = tags

    def check(self, value: Value) -> bool:
        """Whether it is a set with one known attribute."""
        return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in self.tags

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """Merge the values of the one tag that all definitions use."""
        used = {next(iter(force(definition.value))) for definition in definitions}
        if len(used) > 1:
            raise fault(
                loc,
                definitions,
                f"The option `{show_option(loc)}' is defined with several tags of which it takes one: "
                f"{', '.join(sorted(used))}. Definition values:{show_definitions(definitions)}",
            )
        tag = used.pop()
        entries = []
        for definition in definitions:
            key, value = next(iter(force(definition.value).items()))
            entries.append(definition.entry(value, key))
        return {tag: self._option(loc, tag, entries).value}

    def _option(self, loc: Loc, tag: str, definitions: list[Definition]) -> Option:
        key = next(name for name in self.tags if name == tag)
        return Option((*loc, tag), [Declaration("<attrTag {...}>", key, self.tags[tag])], lambda: definitions)

    def sub_options(self, prefix: Loc) -> Value:
        """The tags, as options."""
        return {name: self._option(prefix, name, []).show() for name in self.tags}

    def merge_type(self, other: OptionType) -> OptionType | None:
        """The tags of both, when none is in both."""
        if not isinstance(other, AttrTag) or self.tags.keys() & other.tags.keys():
            return None
        return AttrTag({**self.tags, **other.tags})
