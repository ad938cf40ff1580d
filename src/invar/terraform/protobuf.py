"""Protocol buffers' wire format for messages described by tables: nothing is generated, no compiler is needed.

Format: https://protobuf.dev/programming-guides/encoding/ (proto3). A message is a dict by field name; a field that has
its default value is not sent, and reads back as the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["string", "bytes", "bool", "int", "message", "map"]
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
DEFAULTS: dict[str, Any] = {"string": "", "bytes": b"", "bool": False, "int": 0, "message": None}


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `of` names the message of a "message", or of a "map"'s values (None: strings)."""

    number: int
    name: str
    kind: Kind
    of: str | None = None
    repeated: bool = False


Tables = Mapping[str, tuple[Field, ...]]


class WireError(ValueError):
    """Bytes that are no such message, or a value that its field cannot hold."""


def encode(tables: Tables, name: str, message: Mapping[str, Any]) -> bytes:
    """The bytes of a message. Raises WireError for a field that it does not have."""
    fields = tables[name]
    unknown = message.keys() - {field.name for field in fields}
    if unknown:
        raise WireError(f"{name} has no field {', '.join(sorted(unknown))}")
    out = bytearray()
    for field in fields:
        value = message.get(field.name)
        if field.kind == "map":
            for key, item in (value or {}).items():
                out += _encode_one(
                    tables, Field(field.number, field.name, "bytes"), _map_entry(tables, field, key, item)
                )
        elif field.repeated:
            for item in value or ():
                out += _encode_one(tables, field, item)
        elif value is not None and value != DEFAULTS[field.kind]:
            out += _encode_one(tables, field, value)
    return bytes(out)


def decode(tables: Tables, name: str, data: bytes) -> dict[str, Any]:
    """A message out of its bytes, with every field. Unknown fields are passed over. Raises WireError."""
    fields = {field.number: field for field in tables[name]}
    message: dict[str, Any] = {
        field.name: {} if field.kind == "map" else [] if field.repeated else DEFAULTS[field.kind]
        for field in tables[name]
    }
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        raw, at = _read_raw(data, at, tag & 7)
        field = fields.get(tag >> 3)
        if field is None:
            continue
        if field.kind == "map":
            key, item = _read_entry(tables, field, _as_bytes(raw))
            message[field.name][key] = item
        elif field.repeated:
            message[field.name].append(_decode_one(tables, field, raw))
        else:
            message[field.name] = _decode_one(tables, field, raw)
    return message


def _entry_table(field: Field) -> tuple[Field, ...]:
    value = Field(2, "value", "string") if field.of is None else Field(2, "value", "message", field.of)
    return (Field(1, "key", "string"), value)


def _map_entry(tables: Tables, field: Field, key: str, value: Any) -> bytes:
    return encode({**tables, "entry": _entry_table(field)}, "entry", {"key": key, "value": value})


def _read_entry(tables: Tables, field: Field, data: bytes) -> tuple[str, Any]:
    entry = decode({**tables, "entry": _entry_table(field)}, "entry", data)
    return entry["key"], entry["value"]


def _encode_one(tables: Tables, field: Field, value: Any) -> bytes:
    try:
        match field.kind:
            case "bool" | "int":
                return _varint(field.number << 3 | VARINT) + _varint(int(value) & 0xFFFF_FFFF_FFFF_FFFF)
            case "string":
                body = value.encode()
            case "message":
                assert field.of is not None
                body = encode(tables, field.of, value)
            case _:
                body = bytes(value)
    except (TypeError, AttributeError) as error:
        raise WireError(f"{field.name} cannot hold {value!r}") from error
    payload: bytes = body
    return _varint(field.number << 3 | LENGTH) + _varint(len(payload)) + payload


def _decode_one(tables: Tables, field: Field, raw: int | bytes) -> Any:
    match field.kind:
        case "bool":
            return bool(raw)
        case "int":
            number = int.from_bytes(raw, "little") if isinstance(raw, bytes) else raw
            return number - 2**64 if number >= 2**63 else number
        case "string":
            try:
                return _as_bytes(raw).decode()
            except UnicodeDecodeError as error:
                raise WireError(f"{field.name} is not UTF-8") from error
        case "message":
            assert field.of is not None
            return decode(tables, field.of, _as_bytes(raw))
        case _:
            return _as_bytes(raw)


def _as_bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise WireError("a number where bytes belong")
    return raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise WireError("a number that does not end")


def _read_raw(data: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    if wire == VARINT:
        return _read_varint(data, at)
    if wire == LENGTH:
        size, at = _read_varint(data, at)
    elif wire in (FIXED64, FIXED32):
        size = 8 if wire == FIXED64 else 4
    else:
        raise WireError(f"wire type {wire}")
    if at + size > len(data):
        raise WireError("a field that is longer than its message")
    return data[at : at + size], at + size
