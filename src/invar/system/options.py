"""What a configuration's own files set: every option that they define, with its value as text. And how two differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invar.core.errors import InvarError
from invar.modules.evaluate import Evaluation
from invar.modules.option_groups import Group
from invar.modules.options import Option
from invar.modules.properties import Definition, discharge, in_order, strongest
from invar.modules.render import show_option, show_value
from invar.nix.errors import NixError
from invar.nix.runtime import force
from invar.nix.values import Value
from invar.system.secrets import NOT_SHOWN, sounds_secret, without_secrets
from invar.system.text_changes import without_hashes

UNKNOWN = "<error>"
"""The value of what cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One option, or one attribute inside of it, as the configuration's own files define it.

    `value` is the value as Nix text, or those of a list's elements. `places` are "FILE:LINE", relative to the
    configuration's directory.
    """

    value: str | tuple[str, ...]
    places: tuple[str, ...] = ()


Settings = Mapping[str, Setting]
"""By the option's dotted path."""


@dataclass(frozen=True, slots=True)
class OptionChange:
    """An option that is set otherwise, newly, or no longer. For lists `added` and `removed` are elements."""

    path: str
    old: Setting | None
    new: Setting | None

    @property
    def places(self) -> tuple[str, ...]:
        """Where it is set; where it was, if it no longer is."""
        setting = self.new or self.old
        return () if setting is None else setting.places

    @property
    def added(self) -> tuple[str, ...]:
        """The elements that a list gained."""
        before, after = _elements(self.old), _elements(self.new)
        return tuple(one for one in after if one not in before)

    @property
    def removed(self) -> tuple[str, ...]:
        """The elements that a list lost."""
        before, after = _elements(self.old), _elements(self.new)
        return tuple(one for one in before if one not in after)

    @property
    def of_list(self) -> bool:
        """Whether elements tell it better than whole values."""
        values = [one.value for one in (self.old, self.new) if one is not None]
        return all(isinstance(value, tuple) for value in values) and bool(self.added or self.removed)


def settings_of(definitions: Evaluation, directory: str, library: str) -> dict[str, Setting]:
    """The settings of a configuration in `directory`: all definitions from outside of the module library.

    A definition counts with its conditions decided and its priority weighed against all others, the library's too; sets
    are looked into, attribute by attribute. What fails to evaluate is `UNKNOWN`, what looks secret is not shown. Store
    paths stand without their hash. Call it inside `with_big_stack`.
    """
    walk = _Walk(directory, f"{library}/")
    found = {show_option(loc): setting for loc, setting in walk.group(definitions.root())}
    return dict(sorted(found.items()))


def diff_settings(old: Settings, new: Settings) -> tuple[OptionChange, ...]:
    """What is set otherwise, by path. Where a setting is written does not count."""
    changes = []
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before is None or after is None or before.value != after.value:
            changes.append(OptionChange(path, before, after))
    return tuple(changes)


def settings_to_data(settings: Settings) -> dict[str, Any]:
    """Plain JSON data: {path: {"value": text or [text], "at": [place]}}."""
    return {
        path: {"at": list(one.places), "value": one.value if isinstance(one.value, str) else list(one.value)}
        for path, one in settings.items()
    }


def settings_from_data(data: Any, where: str) -> dict[str, Setting]:
    """The inverse. Raises InvarError."""
    try:
        return {
            str(path): Setting(
                value if isinstance(value := one["value"], str) else tuple(map(str, value)), tuple(map(str, one["at"]))
            )
            for path, one in data.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InvarError("the record of options is malformed", where=where, why=str(error)) from error


def _elements(setting: Setting | None) -> tuple[str, ...]:
    return () if setting is None or isinstance(setting.value, str) else setting.value


Found = Iterator[tuple[tuple[str, ...], Setting]]


@dataclass(frozen=True, slots=True)
class _Walk:
    """`directory` is the configuration's, `library` the prefix of files whose definitions do not count."""

    directory: str
    library: str

    def group(self, group: Group) -> Found:
        names = group.names()
        for name, definitions in group.definitions_by_name().items():
            if name == "_module" or name not in names or not any(map(self._own, definitions)):
                continue
            node = group.node(name)
            if isinstance(node, Group):
                yield from self.group(node)
                continue
            yield from self._option(node)

    def _option(self, option: Option) -> Found:
        try:
            counting = [one for one in option.merged().definitions if self._own(one)]
        except NixError:
            yield option.loc, Setting(UNKNOWN)
            return
        if counting:
            yield from self._definitions(option.loc, counting)

    def _definitions(self, loc: tuple[str, ...], definitions: Sequence[Definition]) -> Found:
        """The setting of one attribute, or those of the attributes in it. Definitions are without properties."""
        values = [_forced(one) for one in definitions]
        if not values or not all(_is_plain_set(value) for value in values):
            yield loc, self._setting(loc, definitions, values)
            return
        inside: dict[str, list[Definition]] = {}
        for definition, value in zip(definitions, values, strict=True):
            for key, item in value.items():
                inside.setdefault(str(key), []).append(Definition(definition.file, item, key=key))
        if not inside:
            yield loc, self._setting(loc, definitions, values)
        for name, items in inside.items():
            try:
                counting = in_order(strongest([left for one in items for left in discharge(one)])[0])
            except NixError:
                yield (*loc, name), Setting(UNKNOWN)
                continue
            if counting:
                yield from self._definitions((*loc, name), counting)

    def _setting(self, loc: tuple[str, ...], definitions: Sequence[Definition], values: Sequence[Value]) -> Setting:
        places = tuple(dict.fromkeys(self._place(one) for one in definitions))
        if sounds_secret(*loc) and not all(value is None or isinstance(value, bool) for value in values):
            return Setting(NOT_SHOWN, places)
        if all(isinstance(value, list) for value in values):
            return Setting(tuple(self._text(item) for value in values for item in value), places)
        return Setting("\n".join(dict.fromkeys(self._text(value) for value in values)), places)

    def _text(self, value: Value) -> str:
        return without_secrets(without_hashes(_package_name(value) or show_value(value)).replace(self.directory, "."))

    def _place(self, definition: Definition) -> str:
        position = definition.position()
        file, line = (position.file, f":{position.line}") if position and position.file else (definition.file, "")
        return file.removeprefix(f"{self.directory}/") + line

    def _own(self, definition: Definition) -> bool:
        return not definition.file.startswith(self.library)


def _forced(definition: Definition) -> Value:
    try:
        return force(definition.value)
    except NixError:
        return definition.value


def _is_plain_set(value: Value) -> bool:
    return isinstance(value, dict) and not {"_type", "type", "__functor", "outPath"} & value.keys()


def _package_name(value: Value) -> str | None:
    """The name of a package without its version, which the lock says; None for other values."""
    try:
        package = force(value)
        if isinstance(package, dict) and "pname" in package and force(package.get("type")) == "derivation":
            return str(force(package["pname"]))
    except NixError:
        return None
    return None
