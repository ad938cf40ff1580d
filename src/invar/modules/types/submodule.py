"""Types whose values are evaluated modules: submodule, deferredModule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from invar.modules.collect import Module, text_of
from invar.modules.errors import OptionError
from invar.modules.evaluate import Evaluation
from invar.modules.functions import is_function
from invar.modules.merge import Loc
from invar.modules.properties import Definition
from invar.modules.render import show_option
from invar.modules.types.base import OptionType
from invar.modules.types.scalars import is_absolute_path
from invar.nix.runtime import force
from invar.nix.values import Value

if TYPE_CHECKING:
    from invar.modules.evaluate import ModuleSystem

_NO_NAME = Module(
    "lib/types.nix",
    "",
    None,
    {},
    {"_module": {"args": {"name": {"_type": "override", "priority": 1500, "content": "‹name›"}}}},
    None,
)


class Submodule(OptionType):
    """Sets that are configurations of their own, made by modules. Each definition is one more module."""

    name = "submodule"
    empty_value = ({},)

    def __init__(
        self,
        system: ModuleSystem,
        modules: Sequence[Value],
        special_args: Mapping[str, Value],
        *,
        shorthand: bool,
        class_: str | None = None,
        described: str | None = None,
    ) -> None:
        super().__init__()
        self._system = system
        self._modules = list(modules)
        self._special_args = special_args
        self._shorthand = shorthand
        self._class = class_
        self._described = described
        self._base: Evaluation | None = None

    @property
    def description(self) -> str:  # type: ignore[override]
        """As given, else the freeform type's, else "submodule"."""
        if self._described is not None:
            return self._described
        freeform = self.base().freeform_type()
        return "submodule" if freeform is None else f"open submodule of {freeform.noun_phrase()}"

    def base(self) -> Evaluation:
        """The modules without any definition, for documentation."""
        if self._base is None:
            self._base = self._evaluation([], ())
        return self._base

    def check(self, value: Value) -> bool:
        """Whether it can be a module."""
        return isinstance(value, dict) or is_function(value) or is_absolute_path(value)

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """The configuration that the submodule's modules and the definitions make."""
        name = Module("lib/types.nix", "", None, {}, {"_module": {"args": {"name": loc[-1]}}}, None)
        return self._evaluation([name, *(self._as_module(one) for one in definitions)], loc).config

    def _as_module(self, definition: Definition) -> Value | Module:
        value = force(definition.value)
        if self._shorthand and isinstance(value, dict) and not is_function(value):
            return Module(definition.file, "", None, {}, value, None)
        return {"_file": definition.file, "imports": [value]}

    def _evaluation(self, modules: Sequence[Value | Module], prefix: Loc) -> Evaluation:
        return Evaluation(
            self._system,
            [_NO_NAME, *self._modules, *modules],
            self._special_args,
            prefix=prefix,
            class_=self._class,
        )

    def sub_options(self, prefix: Loc) -> Value:
        """The options that the modules declare."""
        base = self._evaluation([], prefix)
        freeform = base.freeform_type()
        if freeform is None:
            return base.options
        return {**force(base.options), "_freeformOptions": freeform.sub_options(prefix)}

    def sub_modules(self) -> list[Value] | None:
        """The modules."""
        return self._modules

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """The same with other modules."""
        return Submodule(
            self._system,
            modules,
            self._special_args,
            shorthand=self._shorthand,
            class_=self._class,
            described=self._described,
        )

    def merge_type(self, other: OptionType) -> OptionType | None:
        """The modules of both."""
        if not isinstance(other, Submodule):
            return None
        if self._special_args.keys() & other._special_args.keys():
            raise OptionError("A submoduleWith option is declared multiple times with the same specialArgs.")
        if self._class is not None and other._class is not None and self._class != other._class:
            raise OptionError(
                f"A submoduleWith option is declared multiple times with conflicting classes "
                f'"{self._class}" and "{other._class}".'
            )
        if self._shorthand != other._shorthand:
            raise OptionError(
                "A submoduleWith option is declared multiple times with conflicting shorthandOnlyDefinesConfig values."
            )
        return Submodule(
            self._system,
            [*self._modules, *other._modules],
            {**self._special_args, **other._special_args},
            shorthand=self._shorthand,
            class_=self._class or other._class,
            described=self._described or other._described,
        )

    def nested(self) -> dict[str, OptionType]:
        """The freeform type, when there is one."""
        freeform = self.base().freeform_type()
        return {} if freeform is None else {"freeformType": freeform}

    def payload(self) -> dict[str, Value]:
        """What the type was made of."""
        return {
            "modules": self._modules,
            "specialArgs": dict(self._special_args),
            "shorthandOnlyDefinesConfig": self._shorthand,
            "class": self._class,
            "description": self._described,
        }


class DeferredModule(OptionType):
    """Modules that are not evaluated here: the value is a module that imports all definitions."""

    name = "deferredModule"
    description = "module"
    description_class = "noun"

    def __init__(self, system: ModuleSystem, static_modules: Sequence[Value] = ()) -> None:
        super().__init__()
        self._system = system
        self._static = list(static_modules)

    def check(self, value: Value) -> bool:
        """Whether it can be a module."""
        return isinstance(value, dict) or is_function(value) or is_absolute_path(value)

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """A module with all of them as imports, each knowing where it was defined."""
        via = show_option(loc)
        return {
            "imports": [
                *self._static,
                *(
                    {"_file": f"{definition.file}, via option {via}", "imports": [definition.value]}
                    for definition in definitions
                ),
            ]
        }

    def sub_options(self, prefix: Loc) -> Value:
        """The options that the static modules declare."""
        return Submodule(self._system, self._static, {}, shorthand=False).sub_options(prefix)

    def sub_modules(self) -> list[Value] | None:
        """The static modules."""
        return self._static

    def with_sub_modules(self, modules: list[Value]) -> OptionType:
        """With other static modules."""
        return DeferredModule(self._system, modules)

    def merge_type(self, other: OptionType) -> OptionType | None:
        """The static modules of both."""
        if not isinstance(other, DeferredModule):
            return None
        return DeferredModule(self._system, [*self._static, *other._static])


def set_default_location(file: Value, module: Value) -> Value:
    """`setDefaultModuleLocation`: the module, said to come from `file`."""
    return {"_file": text_of(file), "imports": [module]}
