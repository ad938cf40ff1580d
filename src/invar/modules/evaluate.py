"""evalModules: modules in, a lazy fixed point of configuration and options out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from invar.modules.collect import Loader, Module, collect, delayed_argument, missing_argument, text_of
from invar.modules.errors import OptionError
from invar.modules.merge import Loc
from invar.modules.option_groups import Group, NestedOptions
from invar.modules.options import Declaration, Option
from invar.modules.properties import Definition, rewrap
from invar.modules.render import show_option
from invar.modules.types.base import OptionType, type_from_value
from invar.modules.types.composed import NullOr
from invar.modules.types.containers import AttrsOf
from invar.modules.types.scalars import ScalarType, bool_type, raw_type
from invar.modules.unknown import unknown_options
from invar.nix.errors import NixInfiniteRecursion
from invar.nix.runtime import blackhole, delay, force, thunk
from invar.nix.values import Primop, Thunk, Value


@dataclass(frozen=True, slots=True)
class ModuleSystem:
    """What every evaluation shares: how files are imported, `lib`, and how sets of options become submodules."""

    import_file: Callable[[str], Value]
    lib: Value
    nested: NestedOptions
    module_type: Callable[[Evaluation], OptionType]


class ConfigSet(dict[str, Value]):
    """A configuration that knows which evaluation it is the value of. For the language it is a set like any other."""

    evaluation: Evaluation


class Evaluation:
    """One evaluation of modules. Nothing is computed before it is asked for."""

    def __init__(
        self,
        system: ModuleSystem,
        modules: Sequence[Value | Module],
        special_args: Mapping[str, Value],
        *,
        prefix: Loc = (),
        class_: str | None = None,
    ) -> None:
        self.system = system
        self.modules = modules
        self.special_args = special_args
        self.prefix = prefix
        self.class_ = class_
        self._root: Thunk = thunk(_build_root, self)
        self._flat: list[Module] = []
        self.full_config: Thunk = thunk(_full_config, self)
        """`config` as modules see it: unchecked, with `_module`."""
        self.full_options: Thunk = thunk(_full_options, self)
        self.config: Thunk = thunk(_checked_config, self)
        """The configuration. Evaluating it raises OptionError when a definition has no option."""
        self.options: Thunk = thunk(_checked_options, self)
        self.module_config: Thunk = thunk(lambda evaluation: force(force(evaluation.full_config)["_module"]), self)

    def root(self) -> Group:
        """The tree of options."""
        if self._root.code is blackhole:
            raise NixInfiniteRecursion(
                "infinite recursion encountered: the `imports' of a module depend on `config', `options' or an "
                "argument from `_module.args'",
                hint="import unconditionally and use mkIf, or pass what imports need in `specialArgs'",
            )
        return force(self._root)  # type: ignore[no-any-return]

    def definitions(self) -> list[Definition]:
        """One definition (a set) for each module."""
        return [Definition(module.file, module.config) for module in self._flat]

    def module_option(self, name: str) -> Value:
        """The value of `_module.NAME`."""
        group = self.root().node("_module")
        assert isinstance(group, Group)
        option = group.node(name)
        assert isinstance(option, Option)
        return force(option.value)

    def freeform_type(self) -> OptionType | None:
        """The type of what has no option of its own, or None."""
        group = self.root().node("_module")
        if isinstance(group, Group) and "freeformType" not in group.definitions_by_name():
            return None
        value = self.module_option("freeformType")
        return None if value is None else type_from_value(value)

    def extend(
        self,
        modules: Sequence[Value | Module] = (),
        special_args: Mapping[str, Value] | None = None,
        prefix: Loc | None = None,
    ) -> Evaluation:
        """The same evaluation with more modules."""
        return Evaluation(
            self.system,
            [*self.modules, *modules],
            {**self.special_args, **(special_args or {})},
            prefix=self.prefix if prefix is None else prefix,
            class_=self.class_,
        )

    def value(self) -> dict[str, Value]:
        """The result of `evalModules`."""
        return {
            "_type": "configuration",
            "options": self.options,
            "config": self.config,
            "_module": self.module_config,
            "extendModules": self.extend_function(),
            "type": delay(lambda: self.system.module_type(self).value()),
            "class": self.class_,
        }

    def extend_function(self) -> Primop:
        """`extendModules { modules, specialArgs, prefix }`."""
        return Primop("extendModules", 1, lambda arguments: _extend(self, force(arguments)).value())


def _extend(evaluation: Evaluation, arguments: dict[str, Value]) -> Evaluation:
    return evaluation.extend(
        force(arguments["modules"]) if "modules" in arguments else (),
        force(arguments["specialArgs"]) if "specialArgs" in arguments else None,
        tuple(str(force(part)) for part in force(arguments["prefix"])) if "prefix" in arguments else None,
    )


# --- steps, in the order in which they happen -----------------------------------------------------------------------


def _build_root(evaluation: Evaluation) -> Group:
    loader = Loader(
        import_file=evaluation.system.import_file,
        arguments={
            "lib": evaluation.system.lib,
            "config": evaluation.full_config,
            "options": evaluation.full_options,
            "specialArgs": evaluation.special_args,
            "_class": evaluation.class_,
            "_prefix": list(evaluation.prefix),
            **evaluation.special_args,
        },
        extra=lambda name, file: delayed_argument(lambda asked: _read_argument(evaluation, *asked), name, file),
        class_=evaluation.class_,
        modules_path=lambda: (
            text_of(evaluation.special_args["modulesPath"]) if "modulesPath" in evaluation.special_args else None
        ),
    )
    flat = collect(loader, [*evaluation.modules, _internal_module(evaluation)])
    flat.reverse()
    evaluation._flat = flat
    declarations = [
        Declaration(module.file, "", module.options)
        for module in flat
        if type(module.options) is Thunk or module.options
    ]
    return Group(evaluation.prefix, declarations, evaluation.definitions, evaluation.system.nested)


def _read_argument(evaluation: Evaluation, name: str, file: str) -> Value:
    if evaluation._root.code is blackhole:
        raise NixInfiniteRecursion(
            f"infinite recursion encountered: `imports' depend on the module argument `{name}' of `{file}', which is "
            "not in `specialArgs'",
            hint="arguments from `_module.args' are known only after all imports are: pass it in `specialArgs'",
        )
    arguments = evaluation.module_option("args")
    if name not in arguments:
        known = [*evaluation.special_args, *arguments, "config", "options", "lib"]
        raise missing_argument(name, file, known)
    return force(arguments[name])


def _full_options(evaluation: Evaluation) -> dict[str, Value]:
    return evaluation.root().show()


def _checked_options(evaluation: Evaluation) -> dict[str, Value]:
    _check(evaluation)
    return evaluation.root().show()


def _full_config(evaluation: Evaluation) -> dict[str, Value]:
    root = evaluation.root()
    freeform = evaluation.freeform_type()
    if freeform is None:
        return root.config()
    definitions = [
        Definition(definition.file, _below(loc[len(root.loc) :], definition), (), definition.key)
        for loc, definition in root.unmatched()
    ]
    if not definitions:
        return root.config()
    free = force(freeform.merge(root.loc, definitions))
    return _overlay(free, root)


def _below(path: Loc, definition: Definition) -> dict[str, Value]:
    value = rewrap(definition.value, definition.wraps)
    for name in (definition.key, *reversed(path[:-1])):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def _overlay(free: dict[str, Value], group: Group) -> dict[str, Value]:
    """What the freeform type made, below the values of declared options."""
    config = {**free, **group.config()}
    for name in group.names():
        if name in free and isinstance(group.node(name), Group):
            config[name] = thunk(_overlay_member, (free[name], group, name))
    return config


def _overlay_member(where: tuple[Value, Group, str]) -> Value:
    free, group, name = where
    node = group.node(name)
    assert isinstance(node, Group)
    given = force(free)
    return _overlay(given, node) if isinstance(given, dict) else node.config()


def _checked_config(evaluation: Evaluation) -> dict[str, Value]:
    _check(evaluation)
    config = force(evaluation.full_config)
    checked = ConfigSet((name, value) for name, value in config.items() if name != "_module")
    checked.evaluation = evaluation
    return checked


def _check(evaluation: Evaluation) -> None:
    root = evaluation.root()
    unmatched = root.unmatched()
    if unmatched and evaluation.freeform_type() is None and evaluation.module_option("check"):
        raise unknown_options(root, unmatched)


# --- the module that declares `_module` -----------------------------------------------------------------------------


option_type_type = ScalarType(
    "optionType",
    "optionType",
    lambda value: isinstance(value, dict) and "_type" in value and force(value["_type"]) == "option-type",
    lambda loc, definitions: _merge_option_types(loc, definitions).value(),
)


def _merge_option_types(loc: Loc, definitions: list[Definition]) -> OptionType:
    merged = type_from_value(definitions[0].value)
    for definition in definitions[1:]:
        joined = merged.merge_type(type_from_value(definition.value))
        if joined is None:
            raise OptionError(
                f"The option `{show_option(loc)}' is given types that cannot be merged: "
                f"`{merged.description}' and `{type_from_value(definition.value).description}'.",
                places=[(one.file, one.position()) for one in definitions],
                loc=loc,
            )
        merged = joined
    return merged


def _option(type_: OptionType, description: str, **more: Value) -> dict[str, Value]:
    return {"_type": "option", "type": type_.value(), "description": description, "internal": True, **more}


_OPTIONS: dict[str, Value] = {
    "_module": {
        "args": _option(AttrsOf(raw_type, lazy=True), "Additional arguments passed to each module."),
        "check": _option(bool_type, "Whether definitions without an option are errors.", default=True),
        "freeformType": _option(
            NullOr(option_type_type), "The type of everything that has no option of its own.", default=None
        ),
        "specialArgs": _option(AttrsOf(raw_type, lazy=True), "Arguments that `imports` may depend on.", readOnly=True),
    }
}


def _internal_module(evaluation: Evaluation) -> Module:
    arguments = {
        "extendModules": evaluation.extend_function(),
        "moduleType": delay(lambda: evaluation.system.module_type(evaluation).value()),
    }
    config = {"_module": {"args": arguments, "specialArgs": evaluation.special_args}}
    return Module("lib/modules.nix", "lib/modules.nix", None, _OPTIONS, config, None)
