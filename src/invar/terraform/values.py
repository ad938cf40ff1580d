"""Terraform's values on the wire: MessagePack inside DynamicValue.

Source: `docs/plugin-protocol/object-wire-format.md` of Terraform. Strings, numbers, booleans, lists, maps and null are
Python's; what is known only after apply is `UNKNOWN`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgpack

UNREFINED = msgpack.ExtType(0, b"\x00")


class Unknown:
    """A value that is known only after apply. There is one: `UNKNOWN`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def encode_value(value: Any) -> dict[str, bytes]:
    """A DynamicValue message."""
    return {"msgpack": msgpack.packb(_out(value), use_bin_type=True)}


def decode_value(message: Mapping[str, bytes] | None) -> Any:
    """The value of a DynamicValue message; None for an absent one. Raises ValueError for bytes that are none."""
    if message is None:
        return None
    if message["msgpack"]:
        return msgpack.unpackb(message["msgpack"], raw=False, strict_map_key=False, ext_hook=lambda code, data: UNKNOWN)
    return json.loads(message["json"]) if message["json"] else None


def is_known(value: Any) -> bool:
    """Whether nothing in a value waits for apply."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, dict):
        return all(is_known(item) for item in value.values())
    if isinstance(value, list):
        return all(is_known(item) for item in value)
    return True


def _out(value: Any) -> Any:
    if isinstance(value, Unknown):
        return UNREFINED
    if isinstance(value, Mapping):
        return {key: _out(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_out(item) for item in value]
    return value
