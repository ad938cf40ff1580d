"""From modules as written (paths, sets, functions, with imports) to the flat list of modules that are evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from invar.modules.errors import OptionError
from invar.modules.functions import is_function
from invar.modules.properties import property_tag
from invar.modules.render import UNKNOWN_FILE, quote_name, show_value
from invar.nix.errors import NixError, add_context, nearest
from invar.nix.runtime import call, force, function_args, thunk
from invar.nix.values import Path, Pos, Value, position_of, site_names, type_name

STRUCTURE = frozenset(
    {"_class", "_file", "key", "disabledModules", "imports", "options", "config", "meta", "freeformType"}
)
"""The attributes of a module that has `options` or `config`."""
SHORTHAND = frozenset({"_class", "_file", "key", "disabledModules", "require", "imports", "freeformType"})
"""The attributes of any other module that are not definitions."""

_EMPTY: dict[str, Value] = {}


@dataclass(frozen=True, slots=True)
class Module:
    """A module taken apart. `options` and `config` are Nix values, not evaluated; `key` tells modules apart."""

    file: str
    key: str
    imports: Value
    options: Value
    config: Value
    disabled: Value


@dataclass(frozen=True, slots=True)
class Loader:
    """What loading needs: how a file is imported, the arguments of module functions, and the class they must be of.

    `arguments` are given to every module function; `extra` gives a thunk for any other argument that one names.
    """

    import_file: Callable[[str], Value]
    arguments: Mapping[str, Value]
    extra: Callable[[str, str], Value]
    class_: str | None
    modules_path: Callable[[], str | None]


def collect(loader: Loader, modules: Sequence[Value | Module]) -> list[Module]:
    """All modules, imports included, breadth first, each key once, without the disabled ones.

    A `Module` among them needs no loading. Raises OptionError for what is no module.
    """
    return _Collection(loader).run(modules)


@dataclass(frozen=True, slots=True)
class _Entry:
    module: Module
    imports: list[str]


class _Collection:
    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._entries: dict[str, _Entry] = {}
        self._disabled: dict[str, str] = {}

    def run(self, modules: Sequence[Value | Module]) -> list[Module]:
        keys = self._load_all(modules, UNKNOWN_FILE, "")
        flat: list[Module] = []
        seen = set(self._disabled)
        queue = keys
        while queue:
            following: list[str] = []
            for key in queue:
                if key not in seen:
                    seen.add(key)
                    entry = self._entries[key]
                    flat.append(entry.module)
                    following += entry.imports
            queue = following
        return flat

    def _load_all(self, modules: Sequence[Value | Module], file: str, parent_key: str) -> list[str]:
        keys = []
        for number, module in enumerate(modules, 1):
            keys.append(self._load(module, file, f"{parent_key}:anon-{number}"))
        return keys

    def _load(self, value: Value | Module, file: str, key: str) -> str:
        value = force(value)
        if isinstance(value, Module):
            return self._enter(value, value.key or key)
        if isinstance(value, (Path, str)):
            path = _module_path(value, file)
            if path in self._entries:
                return path
            module = load_file(self._loader, path)
        else:
            module = load(self._loader, value, file, key)
        return self._enter(module, module.key)

    def _enter(self, module: Module, key: str) -> str:
        if key in self._entries:
            return key
        imported: list[str] = []
        self._entries[key] = _Entry(module, imported)
        if module.imports is not None:
            imports = force(module.imports)
            if not isinstance(imports, list):
                raise OptionError(
                    f"`imports' of the module `{module.file}' is {type_name(imports)}, but must be a list of modules",
                    places=[(module.file, None)],
                )
            imported += self._load_all(imports, module.file, key)
        if module.disabled is not None:
            for one in force(module.disabled):
                self._disabled[_disabled_key(force(one), module.file, self._loader)] = module.file
        return key


def load_file(loader: Loader, path: str) -> Module:
    """The module in a file. Raises NixError when the file cannot be read, parsed or evaluated."""
    try:
        value = loader.import_file(path)
    except NixError as error:
        add_context(error, f"while importing the module `{path}'")
        raise
    return load(loader, force(value), path, path)


def load(loader: Loader, value: Value, file: str, key: str) -> Module:
    """The module that a set or a function is. Raises OptionError when it is neither."""
    if is_function(value):
        return take_apart(loader, apply_arguments(loader, value, file), file, key)
    if isinstance(value, dict):
        return take_apart(loader, value, file, key)
    if isinstance(value, list):
        raise OptionError(
            f"Module imports can't be nested lists. Perhaps you meant to remove one level of lists? "
            f"The module `{file}' has:\n- {show_value(value)}",
        )
    raise OptionError(f"The module `{file}' is {type_name(value)}, but a module is a set, a function or a path to one.")


def apply_arguments(loader: Loader, function: Value, file: str) -> Value:
    """A module function called with what it asks for; arguments are evaluated when they are used."""
    arguments: dict[str, Value] = dict(loader.arguments)
    for name in function_args(function) or ():
        if name not in arguments:
            arguments[name] = loader.extra(name, file)
    try:
        return call(function, arguments)
    except NixError as error:
        add_context(error, f"while evaluating the module `{file}'")
        raise


def take_apart(loader: Loader, value: Value, file: str, key: str) -> Module:
    """A module's set as its parts: with `options`/`config`, or else with definitions at the top (the shorthand)."""
    if not isinstance(value, dict):
        raise OptionError(f"The module `{file}' does not look like a module: it evaluates to {type_name(value)}.")
    tag = property_tag(value)
    if tag is not None:
        return Module(file, key, None, _EMPTY, value, None)
    if "_type" in value and force(value["_type"]) != "module":
        raise _not_a_module(str(force(value["_type"])), file)
    if "_class" in value and loader.class_ is not None:
        class_ = force(value["_class"])
        if class_ is not None and class_ != loader.class_:
            raise OptionError(
                f'The module `{file}\' (class: "{class_}") cannot be imported into a module evaluation that expects '
                f'class "{loader.class_}".',
                places=[(file, position_of(value, "_class"))],
            )
    if "_file" in value:
        file = text_of(value["_file"])
    if "key" in value:
        key = text_of(value["key"])
    imports = value.get("imports")
    disabled = value.get("disabledModules")
    if "config" in value or "options" in value:
        for name in value:
            if name not in STRUCTURE:
                raise _mixed_syntax(value, name, file)
        config = _with_freeform(value, value.get("config", _EMPTY))
        if "meta" in value:
            config = {"_type": "merge", "contents": [config, {"meta": value["meta"]}]}
        return Module(file, key, imports, value.get("options", _EMPTY), config, disabled)
    if "require" in value:
        imports = [*force(value["require"]), *(force(imports) if imports is not None else [])]
    if SHORTHAND.isdisjoint(value):
        return Module(file, key, imports, _EMPTY, value, disabled)
    config = _with_freeform(value, {name: item for name, item in value.items() if name not in SHORTHAND})
    return Module(file, key, imports, _EMPTY, config, disabled)


def text_of(value: Value) -> str:
    """A path or string as text."""
    value = force(value)
    return value.path if isinstance(value, Path) else str(value)


def _with_freeform(value: dict[str, Value], config: Value) -> Value:
    if "freeformType" not in value or force(value["freeformType"]) is None:
        return config
    return {"_type": "merge", "contents": [config, {"_module": {"freeformType": value["freeformType"]}}]}


def _module_path(value: Value, file: str) -> str:
    path = value.path if isinstance(value, Path) else str(value)
    if not path.startswith("/"):
        raise OptionError(
            f'The module `{file}\' imports the string "{path}", which is no absolute path.',
            hint=f"write a path without quotes, e.g. ./{path}" if path else None,
        )
    return path


def _disabled_key(value: Value, file: str, loader: Loader) -> str:
    if isinstance(value, Path):
        return value.path
    if isinstance(value, str):
        if value.startswith("/"):
            return str(value)
        base = loader.modules_path()
        return f"{base}/{value}" if base is not None else str(value)
    if isinstance(value, dict) and "key" in value:
        return text_of(value["key"])
    what = "a set without a `key'" if isinstance(value, dict) else type_name(value)
    raise OptionError(
        f"`disabledModules' of the module `{file}' contains {what}; it takes paths, and sets with the module's `key'."
    )


def _not_a_module(tag: str, file: str) -> OptionError:
    what = {
        "option": "an option declaration",
        "option-type": "an option type",
        "configuration": "a whole evaluated configuration",
        "pkgs": "a package set",
        "flake": "a flake",
    }.get(tag, f'a value of `_type = "{tag}"\'')
    hint = None
    if tag == "configuration":
        hint = "import the configuration's modules, not its result"
    elif tag == "flake":
        hint = "import a module of the flake, e.g. flake.nixosModules.default"
    return OptionError(f"The module `{file}' is {what}, not a module.", hint=hint)


def _mixed_syntax(value: dict[str, Value], name: str, file: str) -> OptionError:
    others = sorted(other for other in value if other not in STRUCTURE)
    listed = ", ".join(f"`{quote_name(other)}'" for other in others)
    keyword = "options" if "options" in value else "config"
    position: Pos | None = next((site_names.place(key) for key in value if key == name), None)
    return OptionError(
        f"Module `{file}' has an unsupported attribute `{quote_name(name)}'. This is caused by introducing a top-level "
        f"`config' or `options' attribute (here: `{keyword}').",
        places=[(file, position)],
        hint=f"move {listed if len(others) <= 6 else 'all other attributes'} into the `config' attribute",
    )


def missing_argument(name: str, file: str, known: Sequence[str]) -> OptionError:
    """The error of a module argument that nothing gives."""
    near = " or ".join(f"`{one}'" for one in nearest(name, known))
    also = f" Did you mean {near}?" if near else ""
    return OptionError(
        f"The module argument `{name}' of `{file}' does not exist: it is neither in `specialArgs' nor set in "
        f"`_module.args'.{also}",
        hint="set `_module.args." + name + "', or pass it in `specialArgs' when `imports' depend on it",
    )


def delayed_argument(read: Callable[[tuple[str, str]], Value], name: str, file: str) -> Value:
    """A thunk that reads the argument when it is used."""
    return thunk(read, (name, file))
