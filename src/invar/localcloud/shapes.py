"""Requests against botocore's service models: what a shape's constraints say about a value."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, ServiceModel, Shape, StringShape, StructureShape


@lru_cache
def service_model(service: str) -> ServiceModel:
    """The model that boto3's own clients are made from."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def violation(shape: Shape, value: Any, path: str = "") -> str | None:
    """The first constraint (required, type, enum, range, pattern) that a value breaks, as AWS says it; or None."""
    if isinstance(shape, StructureShape):
        return _structure_violation(shape, value, path)
    if isinstance(shape, ListShape):
        for index, item in enumerate(value, 1):
            found = violation(shape.member, item, f"{path}.{index}.member")
            if found:
                return found
        return _range_violation(shape, len(value), path, value, "have length")
    if shape.type_name in ("integer", "long"):
        if isinstance(value, bool) or not isinstance(value, int):
            return _says(path, value, "be an integer")
        return _range_violation(shape, value, path, value, "have value")
    if shape.type_name == "boolean":
        return None if isinstance(value, bool) else _says(path, value, "be a boolean")
    if isinstance(shape, StringShape):
        if not isinstance(value, str):
            return _says(path, value, "be a string")
        if shape.enum and value not in shape.enum:
            return _says(path, value, f"satisfy enum value set: [{', '.join(shape.enum)}]")
        pattern = shape.metadata.get("pattern")
        # Java's way to write ranges of characters, as [\\u0020-\\uD7FF...]: it only leaves out control characters.
        if pattern and "\\u" not in pattern and not re.search(pattern, value):
            return _says(path, value, f"satisfy regular expression pattern: {pattern}")
        return _range_violation(shape, len(value), path, value, "have length")
    return None


def _structure_violation(shape: StructureShape, value: Any, path: str) -> str | None:
    if not isinstance(value, dict):
        return _says(path, value, "be a structure")
    for name in shape.required_members:
        if value.get(name) is None:
            return _says(_join(path, name), None, "not be null")
    for name, member in shape.members.items():
        if value.get(name) is not None:
            found = violation(member, value[name], _join(path, name))
            if found:
                return found
    return None


def _range_violation(shape: Shape, measure: int, path: str, value: Any, verb: str) -> str | None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and measure < least:
        return _says(path, value, f"{verb} greater than or equal to {least}")
    if most is not None and measure > most:
        return _says(path, value, f"{verb} less than or equal to {most}")
    return None


def _join(path: str, name: str) -> str:
    first_lower = name[:1].lower() + name[1:]
    return f"{path}.{first_lower}" if path else first_lower


def _says(path: str, value: Any, constraint: str) -> str:
    shown = "null" if value is None else f"'{value}'"
    return (
        f"1 validation error detected: Value {shown} at '{path}' failed to satisfy constraint: Member must {constraint}"
    )
