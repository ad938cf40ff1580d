"""What a resource, a data source or the provider itself takes and gives: attributes with Terraform's types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STRING: Any = "string"
NUMBER: Any = "number"
BOOL: Any = "bool"
STRINGS: Any = ["list", "string"]
STRING_SET: Any = ["set", "string"]
STRING_MAP: Any = ["map", "string"]
MARKDOWN = 1


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `type` is a type constraint as Terraform writes it in JSON: "string", ["map", "string"], ...

    `default` is taken when an optional attribute is null; the attribute then is computed as well.
    """

    name: str
    type: Any
    description: str
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False
    default: Any = None

    def message(self) -> dict[str, Any]:
        """The protocol's Schema.Attribute."""
        return {
            "name": self.name,
            "type": json.dumps(self.type, separators=(",", ":")).encode(),
            "description": self.description,
            "description_kind": MARKDOWN,
            "required": self.required,
            "optional": self.optional,
            "computed": self.computed or self.default is not None,
            "sensitive": self.sensitive,
        }


@dataclass(frozen=True, slots=True)
class Schema:
    """All attributes of one type of block, and the version of its state."""

    description: str
    attributes: tuple[Attribute, ...]
    version: int = 0

    def message(self) -> dict[str, Any]:
        """The protocol's Schema."""
        return {
            "version": self.version,
            "block": {
                "version": self.version,
                "description": self.description,
                "description_kind": MARKDOWN,
                "attributes": [attribute.message() for attribute in self.attributes],
            },
        }

    def with_defaults(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A whole object: absent attributes are null, or their default."""
        found = {attribute.name: values.get(attribute.name) for attribute in self.attributes}
        for attribute in self.attributes:
            if found[attribute.name] is None and attribute.default is not None:
                found[attribute.name] = attribute.default
        return found

    def proposed(self, proposed: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
        """What Terraform proposes, with the default where the configuration says nothing.

        An attribute with a default is computed too, so that Terraform proposes its prior value once its line is gone.
        """
        left_out = {each.name for each in self.attributes if each.default is not None and config[each.name] is None}
        return self.with_defaults({name: value for name, value in proposed.items() if name not in left_out})

    def inputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Only what the user gives, defaults filled in."""
        given = {each.name for each in self.attributes if each.required or each.optional}
        return {name: value for name, value in self.with_defaults(values).items() if name in given}
