"""Plain data (the value of `config.system.build.invar`, or a stored record) into a `System`."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

from invar.core.errors import InvarError
from invar.system.record import SCHEMA, System


def system_from_data(data: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> System:
    """The inverse of `System.to_data`.

    Raises InvarError when a field is missing, unknown, or of another type than the record declares: that is a fault
    of the module library, or a record written by another version of Invar.
    """
    fields = dict(data)
    schema = fields.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise InvarError(
            f"a system record has schema {schema}, this Invar reads schema {SCHEMA}",
            hint="evaluate the configuration again with this version",
        )
    fields["origins"] = dict(origins or {})
    system = decode(System, fields, "system")
    assert isinstance(system, System)
    return system


def decode(kind: Any, value: Any, path: str) -> Any:
    """`value` as the annotated type `kind`; `path` names the place for the error."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _decode_record(kind, value, path)
    if origin is tuple:
        _expect(isinstance(value, (list, tuple)), "a list", value, path)
        item = typing.get_args(kind)[0]
        return tuple(decode(item, element, f"{path}[{index}]") for index, element in enumerate(value))
    if origin is dict:
        _expect(isinstance(value, dict), "an object", value, path)
        item = typing.get_args(kind)[1]
        return {str(key): decode(item, element, f"{path}.{key}") for key, element in value.items()}
    if origin is typing.Literal:
        _expect(value in typing.get_args(kind), f"one of {typing.get_args(kind)}", value, path)
        return str(value)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (inner,) = (option for option in typing.get_args(kind) if option is not type(None))
        return decode(inner, value, path)
    if kind is Any:
        return value
    exact = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    _expect(exact, kind.__name__, value, path)
    return str(value) if kind is str else value


@functools.cache
def _types_of(kind: type) -> dict[str, Any]:
    """The types of a record's fields: found by compiling their text, which takes longer than all the rest."""
    return typing.get_type_hints(kind)


def _decode_record(kind: type, value: Any, path: str) -> Any:
    _expect(isinstance(value, dict), "an object", value, path)
    hints = _types_of(kind)
    declared = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(declared))
    _expect(not unknown, "no such field", unknown, path)
    arguments = {}
    for name, field in declared.items():
        if name in value:
            arguments[name] = decode(hints[name], value[name], f"{path}.{name}")
        else:
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            _expect(not required, "a value", "nothing", f"{path}.{name}")
    return kind(**arguments)


def _expect(holds: bool, wanted: str, found: Any, path: str) -> None:
    if not holds:
        raise InvarError(f"the system record is malformed: {path} should be {wanted}, not {found!r:.200}")
