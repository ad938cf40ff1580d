"""moto behind our own door: its WSGI application, its EC2 operations replaced by ours, its state kept on disk.

Written against moto 5.2.5, which is pinned: `setattr` on EC2Response replaces an operation, ActionResult and
EC2ClientError come out in the protocol of the call.
"""

from __future__ import annotations

import importlib
import marshal
import os
import pickle
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.filters import matches
from invar.localcloud.shapes import service_model, violation

os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

import moto.backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.core import responses
from moto.core.base_backend import BackendDict
from moto.core.exceptions import ServiceException
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores, method_names_from_class
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response
from moto.elbv2.models import elbv2_backends
from moto.elbv2.responses import ELBV2Response
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

KEPT_SERVICES = ("cloudwatch", "ec2", "elbv2", "iam", "kms", "ssm")
"""Services whose state survives a restart. They refer to one another, so they are kept together."""
OWN = "invar"
STATE_VERSION = 2
"""Of what stands under OWN: another number when its records change."""
ACCOUNT = DEFAULT_ACCOUNT_ID

Operation = Callable[[Caller, Mapping[str, Any]], dict[str, Any]]


def application() -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """moto's server as a WSGI application, every service behind one address."""
    return _Dispatcher(create_backend_app)


def encrypted_by_default(account: str, region: str) -> bool:
    """The EBS setting of a region, as EnableEbsEncryptionByDefault left it."""
    regions = ec2_backends[account]
    # Asking a region for the first time makes moto build its default network; nobody has set anything there.
    return dict.__contains__(regions, region) and bool(regions[region].ebs_encryption_by_default)


def replace_operations(operations: Mapping[str, Operation], service: str = "ec2") -> None:
    """Answer these operations of a service (botocore names) ourselves instead of moto."""
    classes: dict[str, type] = {"ec2": EC2Response, "autoscaling": AutoScalingResponse, "elbv2": ELBV2Response}
    for name, operation in operations.items():
        setattr(classes[service], camelcase_to_underscores(name), _method(operation, service, name))
    _method_names.cache_clear()


def operations_of(service: str) -> set[str]:
    """All operations that a service has."""
    return set(service_model(service).operation_names)


def name_load_balancers(name: Callable[[str, Any], None]) -> None:
    """Have `name(region, load balancer)` called for every new load balancer before the answer is written."""
    original = ELBV2Response.create_load_balancer

    def create_load_balancer(response: Any) -> ActionResult:
        result = original(response)
        for balancer in elbv2_backends[response.current_account][response.region].load_balancers.values():
            name(response.region, balancer)
        return result

    setattr(ELBV2Response, "create_load_balancer", create_load_balancer)  # noqa: B010 (as in replace_tags)


def replace_tags(own: Mapping[str, Callable[[Caller, str, dict[str, str | None]], None]], listed: Operation) -> None:
    """Answer CreateTags and DeleteTags for ids with one of these prefixes, and add `listed` to DescribeTags."""
    for name, value_of in (("create_tags", lambda tag: tag.get("Value", "")), ("delete_tags", lambda tag: None)):
        setattr(EC2Response, name, _tag_method(getattr(EC2Response, name), own, value_of))
    original = EC2Response.describe_tags

    def describe_tags(response: Any) -> ActionResult:
        result = original(response)
        assert isinstance(result.result, dict)
        result.result["Tags"] = [*result.result["Tags"], *_called(listed, response)["Tags"]]
        return result

    setattr(EC2Response, "describe_tags", describe_tags)  # noqa: B010 (mypy does not let a method be assigned)


def described_tags(
    kinds: Mapping[str, Iterable[tuple[str, Mapping[str, str]]]], filters: Iterable[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """DescribeTags' rows out of resource type → (id, tags), by its filters key, value, resource-id, -type, tag:KEY."""
    listed = list(filters)
    return [
        {"ResourceId": identity, "ResourceType": kind, "Key": key, "Value": value}
        for kind, resources in kinds.items()
        for identity, tags in resources
        for key, value in tags.items()
        if matches(
            {"key": [key], "value": [value], "resource-id": [identity], "resource-type": [kind], f"tag:{key}": [value]},
            listed,
            ("key", "value", "resource-id", "resource-type"),
        )
    ]


def save_state(path: Path, own: Any) -> None:
    """Write moto's state of the kept services and `own`, whole or not at all. The caller keeps requests out."""
    state: dict[str, Any] = {
        name: _plain(_backends(name)) for name in KEPT_SERVICES if f"moto.{name}.models" in sys.modules
    }
    state[OWN] = own
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(_made_by())
        _Pickler(file, protocol=5).dump(state)
    temporary.replace(path)


def load_state(path: Path) -> Any:
    """Bring back what `save_state` wrote with the same Python, moto and Invar; other state is left out.

    Returns `own`, or None. The file is a pickle: it must be one of our own.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if not data.startswith(_made_by()):
        return None
    state = pickle.loads(data[len(_made_by()) :])
    own = state.pop(OWN)
    for name, accounts in state.items():
        backends = _backends(name)
        for account, regions in accounts.items():
            for region, backend in regions.items():
                backends[account][region].__dict__.update(backend.__dict__)
    return own


def clear_state() -> None:
    """Forget everything that moto knows."""
    BackendDict.reset()


class _Dispatcher(DomainDispatcherApplication):
    """Remembers which service a host belongs to: moto lists its own directories for every request to find out."""

    def __init__(self, create_app: Callable[..., Any]) -> None:
        super().__init__(create_app)
        self._found: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """The service, by a host as `infer_service_region_host` makes it up: some fifty of them."""
        found = self._found.get(host)
        if found is None:
            found = self._found[host] = super().get_backend_for_host(host)
        return found


_method_names = cache(method_names_from_class)
"""moto inspects a service's class for every call. `replace_operations`, which changes classes, forgets the names."""
setattr(responses, "method_names_from_class", _method_names)  # noqa: B010 (as in replace_tags)


class _Pickler(pickle.Pickler):
    """Also takes what moto's SSM holds: functions without a name, and mappings with constructors of their own."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, types.FunctionType) and "<locals>" in value.__qualname__ and value.__closure__ is None:
            return _function, (marshal.dumps(value.__code__), value.__module__)
        if isinstance(value, defaultdict) and type(value) is not defaultdict:
            return _mapping, (type(value), value.default_factory), vars(value), None, iter(value.items())
        return NotImplemented


def _mapping(kind: type[defaultdict[Any, Any]], factory: Callable[[], Any] | None) -> defaultdict[Any, Any]:
    made = kind.__new__(kind)
    defaultdict.__init__(made, factory)
    return made


def _function(code: bytes, module: str) -> types.FunctionType:
    return types.FunctionType(marshal.loads(code), vars(importlib.import_module(module)))


def _made_by() -> bytes:
    """The first line of the state file: marshalled code and pickled objects belong to one Python and one moto."""
    return (
        f"invar local cloud, {sys.implementation.cache_tag}, moto {moto.__version__}, state {STATE_VERSION}\n".encode()
    )


def _backends(service: str) -> Any:
    importlib.import_module(f"moto.{service}.models")
    return moto.backends.get_backend(service)  # type: ignore[call-overload]


def _plain(backends: Any) -> dict[str, dict[str, Any]]:
    return {account: dict(regions.items()) for account, regions in backends.items()}


def _method(operation: Operation, service: str, name: str) -> Callable[[Any], ActionResult]:
    shape = service_model(service).operation_model(name).input_shape

    def method(response: Any) -> ActionResult:
        if service == "ec2":
            response.error_on_dryrun()
        elif shape is not None and (found := violation(shape, dict(response.params))):
            raise _Refusal("ValidationError", found)
        return ActionResult(_called(operation, response, service))

    return method


def _called(operation: Operation, response: Any, service: str = "ec2") -> dict[str, Any]:
    region, account = response.region, response.current_account
    caller = Caller(account, region, encrypted_by_default(account, region))
    try:
        return operation(caller, dict(response.params))
    except CloudError as error:
        if service == "ec2":
            raise EC2ClientError(error.code, error.message) from error
        raise _Refusal(error.code, error.message) from error


class _Refusal(ServiceException):
    """An error in the protocol of the call."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _tag_method(
    original: Callable[[Any], ActionResult],
    own: Mapping[str, Callable[[Caller, str, dict[str, str | None]], None]],
    value_of: Callable[[Mapping[str, str]], str | None],
) -> Callable[[Any], ActionResult]:
    def method(response: Any) -> ActionResult:
        resources = list(response.params.get("Resources") or [])
        changed = {tag["Key"]: value_of(tag) for tag in response.params.get("Tags") or []}
        ours = [identity for identity in resources if identity.partition("-")[0] in own]

        def change(caller: Caller, parameters: Mapping[str, Any]) -> dict[str, Any]:
            for identity in ours:
                own[identity.partition("-")[0]](caller, identity, dict(changed))
            return {}

        result = _called(change, response)
        others = [identity for identity in resources if identity not in ours]
        if others or not resources:
            response.params["Resources"] = others
            return original(response)
        return ActionResult(result)

    return method
