"""The messages of Terraform's plugin protocol 6 that a provider of resources and data sources needs, as tables.

Source: `docs/plugin-protocol/tfplugin6.proto` of Terraform (protocol 6.8, Terraform 1.11). Numbers are the contract.
"""

from __future__ import annotations

from invar.terraform.protobuf import Field, Kind

SERVICE = "tfplugin6.Provider"
ERROR, WARNING = 1, 2
"""Diagnostic.Severity."""


def _f(number: int, name: str, kind: Kind = "string", of: str | None = None, *, repeated: bool = False) -> Field:
    return Field(number, name, kind, of, repeated)


def _value(number: int, name: str) -> Field:
    return _f(number, name, "message", "DynamicValue")


def _diagnostics(number: int) -> Field:
    return _f(number, "diagnostics", "message", "Diagnostic", repeated=True)


TYPE_NAME = _f(1, "type_name")

TABLES: dict[str, tuple[Field, ...]] = {
    "Empty": (),
    "DynamicValue": (_f(1, "msgpack", "bytes"), _f(2, "json", "bytes")),
    "Step": (_f(1, "attribute_name"), _f(2, "element_key_string"), _f(3, "element_key_int", "int")),
    "AttributePath": (_f(1, "steps", "message", "Step", repeated=True),),
    "Diagnostic": (
        _f(1, "severity", "int"),
        _f(2, "summary"),
        _f(3, "detail"),
        _f(4, "attribute", "message", "AttributePath"),
    ),
    "RawState": (_f(1, "json", "bytes"), _f(2, "flatmap", "map")),
    "Attribute": (
        _f(1, "name"),
        _f(2, "type", "bytes"),
        _f(3, "description"),
        _f(4, "required", "bool"),
        _f(5, "optional", "bool"),
        _f(6, "computed", "bool"),
        _f(7, "sensitive", "bool"),
        _f(8, "description_kind", "int"),
        _f(9, "deprecated", "bool"),
    ),
    "Block": (
        _f(1, "version", "int"),
        _f(2, "attributes", "message", "Attribute", repeated=True),
        _f(3, "block_types", "message", "NestedBlock", repeated=True),
        _f(4, "description"),
        _f(5, "description_kind", "int"),
    ),
    "NestedBlock": (
        TYPE_NAME,
        _f(2, "block", "message", "Block"),
        _f(3, "nesting", "int"),
        _f(4, "min_items", "int"),
        _f(5, "max_items", "int"),
    ),
    "Schema": (_f(1, "version", "int"), _f(2, "block", "message", "Block")),
    "ServerCapabilities": (
        _f(1, "plan_destroy", "bool"),
        _f(2, "get_provider_schema_optional", "bool"),
        _f(3, "move_resource_state", "bool"),
    ),
    "Metadata": (TYPE_NAME,),
    "GetMetadata.Response": (
        _f(1, "server_capabilities", "message", "ServerCapabilities"),
        _diagnostics(2),
        _f(3, "data_sources", "message", "Metadata", repeated=True),
        _f(4, "resources", "message", "Metadata", repeated=True),
    ),
    "GetProviderSchema.Response": (
        _f(1, "provider", "message", "Schema"),
        _f(2, "resource_schemas", "map", "Schema"),
        _f(3, "data_source_schemas", "map", "Schema"),
        _diagnostics(4),
        _f(5, "provider_meta", "message", "Schema"),
        _f(6, "server_capabilities", "message", "ServerCapabilities"),
    ),
    "ValidateProviderConfig.Request": (_value(1, "config"),),
    "ValidateProviderConfig.Response": (_diagnostics(2),),
    "ValidateResourceConfig.Request": (TYPE_NAME, _value(2, "config")),
    "ValidateResourceConfig.Response": (_diagnostics(1),),
    "ValidateDataResourceConfig.Request": (TYPE_NAME, _value(2, "config")),
    "ValidateDataResourceConfig.Response": (_diagnostics(1),),
    "UpgradeResourceState.Request": (TYPE_NAME, _f(2, "version", "int"), _f(3, "raw_state", "message", "RawState")),
    "UpgradeResourceState.Response": (_value(1, "upgraded_state"), _diagnostics(2)),
    "ConfigureProvider.Request": (_f(1, "terraform_version"), _value(2, "config")),
    "ConfigureProvider.Response": (_diagnostics(1),),
    "ReadResource.Request": (TYPE_NAME, _value(2, "current_state"), _f(3, "private", "bytes")),
    "ReadResource.Response": (_value(1, "new_state"), _diagnostics(2), _f(3, "private", "bytes")),
    "PlanResourceChange.Request": (
        TYPE_NAME,
        _value(2, "prior_state"),
        _value(3, "proposed_new_state"),
        _value(4, "config"),
        _f(5, "prior_private", "bytes"),
    ),
    "PlanResourceChange.Response": (
        _value(1, "planned_state"),
        _f(2, "requires_replace", "message", "AttributePath", repeated=True),
        _f(3, "planned_private", "bytes"),
        _diagnostics(4),
    ),
    "ApplyResourceChange.Request": (
        TYPE_NAME,
        _value(2, "prior_state"),
        _value(3, "planned_state"),
        _value(4, "config"),
        _f(5, "planned_private", "bytes"),
    ),
    "ApplyResourceChange.Response": (_value(1, "new_state"), _f(2, "private", "bytes"), _diagnostics(3)),
    "ImportResourceState.Request": (TYPE_NAME, _f(2, "id")),
    "ImportedResource": (TYPE_NAME, _value(2, "state"), _f(3, "private", "bytes")),
    "ImportResourceState.Response": (
        _f(1, "imported_resources", "message", "ImportedResource", repeated=True),
        _diagnostics(2),
    ),
    "ReadDataSource.Request": (TYPE_NAME, _value(2, "config")),
    "ReadDataSource.Response": (_value(1, "state"), _diagnostics(2)),
    "StopProvider.Response": (_f(1, "Error"),),
}

METHODS: tuple[str, ...] = (
    "GetMetadata",
    "GetProviderSchema",
    "ValidateProviderConfig",
    "ValidateResourceConfig",
    "ValidateDataResourceConfig",
    "UpgradeResourceState",
    "ConfigureProvider",
    "ReadResource",
    "PlanResourceChange",
    "ApplyResourceChange",
    "ImportResourceState",
    "ReadDataSource",
    "StopProvider",
)
"""What a provider of this kind answers; to the rest gRPC says UNIMPLEMENTED, as the protocol allows."""


def request_table(method: str) -> str:
    """The table of a method's request; requests without fields are empty."""
    name = f"{method}.Request"
    return name if name in TABLES else "Empty"


def response_table(method: str) -> str:
    """The table of a method's response."""
    return f"{method}.Response"
