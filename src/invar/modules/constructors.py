"""What modules are written with: mkOption, mkIf, mkMerge, mkOverride and the rest, as functions on Nix values."""

from __future__ import annotations

from typing import Final

from invar.modules.errors import OptionError
from invar.modules.properties import DEFAULT_ORDER, DEFAULT_PRIORITY, OPTION_DEFAULT_PRIORITY
from invar.modules.types.composed import NullOr
from invar.modules.types.scalars import bool_type, package_type
from invar.nix.errors import nearest
from invar.nix.runtime import call, delay, force
from invar.nix.values import Primop, Value, position_of, type_name

OPTION_ATTRIBUTES: Final = frozenset(
    {
        "apply",
        "default",
        "defaultText",
        "description",
        "example",
        "internal",
        "readOnly",
        "relatedPackages",
        "type",
        "visible",
    }
)
"""What `mkOption` takes."""

PRIORITIES: Final = {
    "mkOptionDefault": OPTION_DEFAULT_PRIORITY,
    "mkDefault": 1000,
    "mkImageMediaOverride": 60,
    "mkForce": 50,
    "mkVMOverride": 10,
}
"""The named `mkOverride`s; a plain definition has 100."""

ORDERS: Final = {"mkBefore": 500, "mkAfter": 1500}
"""The named `mkOrder`s; a plain definition has 1000."""


def constructors() -> dict[str, Value]:
    """The functions that make options and properties, and the numbers they are about."""
    table: dict[str, Value] = {
        "mkOption": Primop("mkOption", 1, make_option),
        "mkEnableOption": Primop("mkEnableOption", 1, make_enable_option),
        "mkPackageOption": Primop("mkPackageOption", 3, make_package_option),
        "mkIf": Primop(
            "mkIf", 2, lambda condition, content: {"_type": "if", "condition": condition, "content": content}
        ),
        "mkMerge": Primop("mkMerge", 1, lambda contents: {"_type": "merge", "contents": contents}),
        "mkOverride": Primop("mkOverride", 2, override),
        "mkOrder": Primop(
            "mkOrder",
            2,
            lambda priority, content: {"_type": "order", "priority": priority, "content": content},
        ),
        "mkFixStrictness": Primop("mkFixStrictness", 1, force),
        "mkDefinition": Primop("mkDefinition", 1, lambda attrs: {**force(attrs), "_type": "definition"}),
        "mkAliasDefinitions": Primop("mkAliasDefinitions", 1, lambda option: alias_definitions(None, option, False)),
        "mkAliasAndWrapDefinitions": Primop(
            "mkAliasAndWrapDefinitions", 2, lambda wrap, option: alias_definitions(wrap, option, False)
        ),
        "mkAliasAndWrapDefsWithPriority": Primop(
            "mkAliasAndWrapDefsWithPriority", 2, lambda wrap, option: alias_definitions(wrap, option, True)
        ),
        "mkDerivedConfig": Primop("mkDerivedConfig", 2, derived_config),
        "mkSinkUndeclaredOptions": Primop("mkSinkUndeclaredOptions", 1, sink_undeclared),
        "defaultPriority": DEFAULT_PRIORITY,
        "defaultOverridePriority": DEFAULT_PRIORITY,
        "defaultOrderPriority": DEFAULT_ORDER,
    }
    for name, priority in PRIORITIES.items():
        table[name] = Primop(name, 1, lambda content, priority=priority: override(priority, content))
    for name, order in ORDERS.items():
        table[name] = Primop(
            name, 1, lambda content, order=order: {"_type": "order", "priority": order, "content": content}
        )
    return table


def make_option(attributes: Value) -> dict[str, Value]:
    """`mkOption`. Raises OptionError for an attribute that options do not have."""
    given = force(attributes)
    if not isinstance(given, dict):
        raise OptionError(f"mkOption takes a set, not {type_name(given)}")
    if not given.keys() <= OPTION_ATTRIBUTES:
        name = next(name for name in given if name not in OPTION_ATTRIBUTES)
        near = nearest(name, OPTION_ATTRIBUTES)
        raise OptionError(
            f"mkOption called with unexpected argument `{name}'",
            places=[("", position_of(given, name))],
            hint=f"did you mean `{near[0]}'?" if near else None,
        )
    return {**given, "_type": "option"}


def make_enable_option(name: Value) -> dict[str, Value]:
    """`mkEnableOption`: a Boolean, false unless set."""
    return {
        "_type": "option",
        "default": False,
        "example": True,
        "description": delay(lambda: f"Whether to enable {force(name)}."),
        "type": bool_type.value(),
    }


def make_package_option(packages: Value, name: Value, settings: Value) -> dict[str, Value]:
    """`mkPackageOption`: the package `pkgs.NAME` unless set."""
    given = force(settings)
    called = force(name)
    names = [str(force(one)) for one in called] if isinstance(called, list) else [str(called)]
    where = str(force(given["pkgsText"])) if "pkgsText" in given else "pkgs"
    nullable = "nullable" in given and force(given["nullable"]) is True
    path: list[str] | None = names
    if "default" in given:
        default = force(given["default"])
        if default is None:
            path = None
        else:
            path = [str(force(one)) for one in default] if isinstance(default, list) else [str(default)]
    extra = str(force(given["extraDescription"])) if "extraDescription" in given else ""
    option: dict[str, Value] = {
        "_type": "option",
        "type": (NullOr(package_type) if nullable else package_type).value(),
        "description": f"The {names[-1]} package to use.{' ' if extra else ''}{extra}",
    }
    if path is not None:
        found = path
        option["default"] = delay(lambda: _package_at(packages, found, where))
        option["defaultText"] = {"_type": "literalExpression", "text": ".".join([where, *found])}
    elif nullable:
        option["default"] = None
    if "example" in given:
        example = force(given["example"])
        if isinstance(example, (list, str)):
            parts = [str(force(one)) for one in example] if isinstance(example, list) else [example]
            option["example"] = {"_type": "literalExpression", "text": ".".join([where, *parts])}
        else:
            option["example"] = example
    return option


def _package_at(packages: Value, path: list[str], where: str) -> Value:
    value = force(packages)
    for name in path:
        if not isinstance(value, dict) or name not in value:
            known = [str(one) for one in value] if isinstance(value, dict) else []
            near = nearest(name, known)
            raise OptionError(
                f"{'.'.join(path)} cannot be found in {where}",
                hint=f"did you mean {' or '.join(near)}?" if near else None,
            )
        value = force(value[name])
    return value


def override(priority: Value, content: Value) -> dict[str, Value]:
    """`mkOverride`."""
    return {"_type": "override", "priority": priority, "content": content}


def alias_definitions(wrap: Value, option: Value, with_priority: bool) -> dict[str, Value]:
    """The definitions of an option as definitions of another; none when it has none."""
    given = force(option)
    is_option = isinstance(given, dict) and "_type" in given and force(given["_type"]) == "option"

    def definitions() -> list[Value]:
        found = force(given["definitions"])
        return [override(given["highestPrio"], one) for one in found] if with_priority else list(found)

    merged: Value = {"_type": "merge", "contents": delay(definitions)}
    return {
        "_type": "if",
        "condition": delay(lambda: is_option and force(given["isDefined"])),
        "content": merged if wrap is None else delay(lambda: call(wrap, merged)),
    }


def derived_config(option: Value, function: Value) -> dict[str, Value]:
    """`mkDerivedConfig`: a definition made of an option's value, with that option's priority."""
    given = force(option)
    return override(given.get("highestPrio", DEFAULT_PRIORITY), delay(lambda: call(function, given["value"])))


def sink_undeclared(attributes: Value) -> dict[str, Value]:
    """`mkSinkUndeclaredOptions`: an option that takes and ignores everything."""
    return {
        "internal": True,
        "visible": False,
        "default": False,
        "description": "Sink for option definitions.",
        "apply": Primop("apply", 1, lambda value: False),
        **force(attributes),
        "_type": "option",
    }
