"""Plugin protocol 6, method by method: from a request's message to a response's. Knows no transport."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from invar.core.errors import InvarError
from invar.terraform.diagnostics import Diagnostic, Refused, attribute_path, of_error
from invar.terraform.resource import Change, Context, DataSource, Resource, Values
from invar.terraform.schema import Schema
from invar.terraform.values import decode_value, encode_value

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Provider:
    """What this provider has. `configure` makes the context out of the provider block."""

    schema: Schema
    resources: Mapping[str, Resource]
    data_sources: Mapping[str, DataSource]
    check: Callable[[Values], tuple[Diagnostic, ...]]
    configure: Callable[[Values], Context]


@dataclass(slots=True)
class Dispatcher:
    """Answers requests.

    `stop` is called when Terraform is interrupted. `crashed` keeps the text of a fault of our own; it returns where.
    """

    provider: Provider
    stop: Callable[[], None]
    crashed: Callable[[str], str]
    context: Context | None = field(default=None, init=False)

    def answer(self, method: str, request: Message) -> Message:
        """The response to a request. Faults are diagnostics in it, never exceptions."""
        answers: dict[str, Callable[[Message], Message]] = {
            "GetMetadata": self._metadata,
            "GetProviderSchema": self._schemas,
            "ValidateProviderConfig": self._validate_provider,
            "ValidateResourceConfig": self._validate_resource,
            "ValidateDataResourceConfig": self._validate_data_source,
            "UpgradeResourceState": self._upgrade,
            "ConfigureProvider": self._configure,
            "ReadResource": self._read_resource,
            "PlanResourceChange": self._plan,
            "ApplyResourceChange": self._apply,
            "ImportResourceState": self._import,
            "ReadDataSource": self._read_data_source,
            "StopProvider": self._stop,
        }
        try:
            return answers[method](request)
        except Refused as refused:
            told = refused.diagnostics
        except InvarError as error:
            told = (of_error(error),)
        except Exception as error:
            log = self.crashed(traceback.format_exc())
            what = f"Invar's provider has a fault of its own: {type(error).__name__}: {error}"
            told = (Diagnostic(what, f"in {method}; the details are in {log}"),)
        if method == "StopProvider":
            return {"Error": told[0].summary}
        kept = {"new_state": request.get("prior_state")} if method == "ApplyResourceChange" else {}
        return {**kept, "diagnostics": [each.message() for each in told]}

    def _metadata(self, request: Message) -> Message:
        return {
            "server_capabilities": CAPABILITIES,
            "data_sources": [{"type_name": name} for name in self.provider.data_sources],
            "resources": [{"type_name": name} for name in self.provider.resources],
        }

    def _schemas(self, request: Message) -> Message:
        return {
            "provider": self.provider.schema.message(),
            "resource_schemas": {name: each.schema.message() for name, each in self.provider.resources.items()},
            "data_source_schemas": {name: each.schema.message() for name, each in self.provider.data_sources.items()},
            "server_capabilities": CAPABILITIES,
        }

    def _validate_provider(self, request: Message) -> Message:
        return _told(self.provider.check(decode_value(request["config"])))

    def _validate_resource(self, request: Message) -> Message:
        return _told(self._resource(request).validate(decode_value(request["config"])))

    def _validate_data_source(self, request: Message) -> Message:
        return _told(self._data_source(request).validate(decode_value(request["config"])))

    def _configure(self, request: Message) -> Message:
        self.context = self.provider.configure(decode_value(request["config"]))
        return {}

    def _upgrade(self, request: Message) -> Message:
        """States of every version so far are read by name: what is new is null until the next read or apply."""
        resource = self._resource(request)
        if request["version"] > resource.schema.version:
            raise InvarError(
                f"the state of {request['type_name']} was written by a newer Invar",
                why=f"state version {request['version']}, this provider knows up to {resource.schema.version}",
                hint="update invar, then run `invar terraform install` and `terraform init -upgrade`",
            )
        state = json.loads(request["raw_state"]["json"])
        return {"upgraded_state": encode_value(resource.schema.with_defaults(state))}

    def _read_resource(self, request: Message) -> Message:
        state = decode_value(request["current_state"])
        change = self._resource(request).read(self._configured(), state)
        return {"new_state": encode_value(change.values), "private": request["private"], **_told(change.diagnostics)}

    def _plan(self, request: Message) -> Message:
        proposed = decode_value(request["proposed_new_state"])
        if proposed is None:
            return {"planned_state": encode_value(None), "planned_private": request["prior_private"]}
        resource = self._resource(request)
        given = resource.schema.proposed(proposed, decode_value(request["config"]))
        change = resource.plan(self._configured(), decode_value(request["prior_state"]), given)
        return {
            "planned_state": encode_value(change.values),
            "requires_replace": [attribute_path((name,)) for name in change.replace],
            "planned_private": request["prior_private"],
            **_told(change.diagnostics),
        }

    def _apply(self, request: Message) -> Message:
        prior, planned = decode_value(request["prior_state"]), decode_value(request["planned_state"])
        resource = self._resource(request)
        if planned is None:
            told = resource.delete(self._configured(), prior)
            failed = any(not each.warning for each in told)
            change = Change(prior if failed else None, told)
        else:
            change = resource.apply(self._configured(), prior, planned)
        return {
            "new_state": encode_value(change.values),
            "private": request["planned_private"],
            **_told(change.diagnostics),
        }

    def _import(self, request: Message) -> Message:
        state = self._resource(request).found(self._configured(), request["id"])
        imported = {"type_name": request["type_name"], "state": encode_value(state)}
        return {"imported_resources": [imported]}

    def _read_data_source(self, request: Message) -> Message:
        source = self._data_source(request)
        config = source.schema.with_defaults(decode_value(request["config"]))
        change = source.read(self._configured(), config)
        return {"state": encode_value(change.values), **_told(change.diagnostics)}

    def _stop(self, request: Message) -> Message:
        self.stop()
        return {}

    def _configured(self) -> Context:
        if self.context is None:
            raise InvarError("Terraform has not configured the provider yet")
        return self.context

    def _resource(self, request: Message) -> Resource:
        name = request["type_name"]
        if name not in self.provider.resources:
            raise InvarError(f"this provider has no resource {name}", hint="run `terraform init -upgrade`")
        return self.provider.resources[name]

    def _data_source(self, request: Message) -> DataSource:
        name = request["type_name"]
        if name not in self.provider.data_sources:
            raise InvarError(f"this provider has no data source {name}", hint="run `terraform init -upgrade`")
        return self.provider.data_sources[name]


CAPABILITIES = {"get_provider_schema_optional": True}


def _told(diagnostics: tuple[Diagnostic, ...]) -> Message:
    return {"diagnostics": [each.message() for each in diagnostics]}
