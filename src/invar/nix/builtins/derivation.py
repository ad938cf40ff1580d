"""`derivation` and `derivationStrict`: sets to `.drv` objects and the store paths of their outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from invar.nix.builtins.data import to_json
from invar.nix.builtins.hashing import parse_hash
from invar.nix.builtins.registry import Registry
from invar.nix.coerce import CopyPath, coerce_to_string
from invar.nix.errors import NixError, NixMissingAttribute, add_context
from invar.nix.runtime import delay, expect_bool, expect_list, expect_plain, expect_set, expect_string, whnf
from invar.nix.store_objects import Derivation, Output
from invar.nix.storepath import check_name, fixed_output_path, output_path, placeholder
from invar.nix.values import NixString, Value, context_of, position_of

if TYPE_CHECKING:
    from invar.nix.evaluator import Evaluator
    from invar.nix.store_objects import StoreObject

NOT_IN_ENVIRONMENT = frozenset({"args", "__ignoreNulls"})


class DerivationBuilder:
    """Makes derivations and remembers them in `objects`."""

    def __init__(self, objects: dict[str, StoreObject], store_dir: str, copy_path: CopyPath) -> None:
        self.objects = objects
        self.store_dir = store_dir
        self.copy_path = copy_path
        self.digests: dict[str, dict[str, bytes]] = {}

    def strict(self, attributes: Value) -> dict[str, Value]:
        """`derivationStrict`: `drvPath` and the path of each output."""
        given = expect_set(attributes)
        if "name" not in given:
            raise NixMissingAttribute("attribute 'name' missing for call to 'derivationStrict'")
        name = str(expect_plain(given["name"]))
        try:
            return self._strict(name, given)
        except NixError as error:
            raise add_context(error, f"while evaluating derivation '{name}'", position_of(given, "name")) from None

    def _strict(self, name: str, given: dict[str, Value]) -> dict[str, Value]:
        if name.endswith(".drv"):
            raise NixError("derivation names are not allowed to end in '.drv'")
        try:
            check_name(name)
        except ValueError as error:
            raise NixError(str(error)) from None
        context: set[str] = set()
        structured = "__structuredAttrs" in given and expect_bool(given["__structuredAttrs"])
        environment = self._environment(given, context, structured)
        arguments = tuple(self._text(item, context) for item in expect_list(given.get("args", [])))
        builder = self._required(given, "builder", context)
        system = self._required(given, "system", context)
        outputs = self._outputs(given)
        sources, derivations = self._inputs(context)

        def finished(made: dict[str, Output]) -> Derivation:
            full = {**environment, **{output: made[output].path if made else "" for output in outputs}}
            entries = made or {output: Output("") for output in outputs}
            return Derivation(entries, derivations, sources, system, builder, arguments, full)

        paths = self._output_paths(name, given, outputs, finished)
        derivation = finished(paths)
        drv_path = derivation.path(name, self.store_dir)
        self.objects[drv_path] = derivation
        self.digests[drv_path] = hash_modulo(derivation, self.digests, masked=False)
        result: dict[str, Value] = {"drvPath": NixString(drv_path, frozenset({f"={drv_path}"}))}
        for output in outputs:
            result[output] = NixString(paths[output].path, frozenset({f"!{output}!{drv_path}"}))
        return result

    def _output_paths(
        self,
        name: str,
        given: dict[str, Value],
        outputs: list[str],
        finished: Callable[[dict[str, Output]], Derivation],
    ) -> dict[str, Output]:
        if "outputHash" in given and (text := str(expect_plain(given["outputHash"]))):
            if outputs != ["out"]:
                raise NixError("multiple outputs are not supported in fixed-output derivations")
            algorithm = str(expect_plain(given["outputHashAlgo"])) if "outputHashAlgo" in given else ""
            kind, digest = parse_hash(text, algorithm or None)
            mode = str(expect_plain(given["outputHashMode"])) if "outputHashMode" in given else "flat"
            if mode not in ("flat", "recursive", "nar"):
                raise NixError(f"invalid value '{mode}' for 'outputHashMode' attribute")
            recursive = mode != "flat"
            path = fixed_output_path(name, kind, digest, recursive=recursive, store_dir=self.store_dir)
            return {"out": Output(path, f"{'r:' if recursive else ''}{kind}", digest.hex())}
        digests = hash_modulo(finished({}), self.digests, masked=True)
        return {output: Output(output_path(output, digests[output], name, self.store_dir)) for output in outputs}

    def _environment(self, given: dict[str, Value], context: set[str], structured: bool) -> dict[str, str]:
        ignore_nulls = "__ignoreNulls" in given and expect_bool(given["__ignoreNulls"])
        chosen: dict[str, Value] = {}
        for name in sorted(given):
            if name in NOT_IN_ENVIRONMENT or (structured and name == "__structuredAttrs"):
                continue
            if ignore_nulls and whnf(given[name]) is None:
                continue
            if name in ("__contentAddressed", "__impure") and whnf(given[name]) is True:
                raise NixError(f"'{name}' derivations are experimental and not supported")
            chosen[str(name)] = given[name]
        if structured:
            text = to_json(chosen, self.copy_path)
            context |= context_of(text)
            return {"__json": str(text)}
        environment: dict[str, str] = {}
        for name, value in chosen.items():
            try:
                environment[name] = self._text(value, context)
            except NixError as error:
                raise add_context(
                    error, f"while evaluating the attribute '{name}' of a derivation", position_of(given, name)
                ) from None
        return environment

    def _text(self, value: Value, context: set[str]) -> str:
        text = coerce_to_string(value, more=True, copy_path=self.copy_path)
        context |= context_of(text)
        return str(text)

    def _required(self, given: dict[str, Value], name: str, context: set[str]) -> str:
        if name not in given:
            raise NixError(f"required attribute '{name}' missing")
        if name == "system":
            return str(expect_plain(given[name]))
        return self._text(given[name], context)

    def _outputs(self, given: dict[str, Value]) -> list[str]:
        if "outputs" not in given:
            return ["out"]
        outputs = [str(expect_string(item)) for item in expect_list(given["outputs"])]
        if not outputs:
            raise NixError("derivation cannot have an empty set of outputs")
        for output in outputs:
            if outputs.count(output) > 1:
                raise NixError(f"duplicate derivation output '{output}'")
            if output == "drv":
                raise NixError("invalid derivation output name 'drv'")
        return outputs

    def _inputs(self, context: set[str]) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
        sources: set[str] = set()
        derivations: dict[str, frozenset[str]] = {}
        for element in context:
            if element.startswith("!"):
                _, output, path = element.split("!", 2)
                if path.startswith("!"):
                    raise NixError("derivations that depend on an output of an output are not supported")
                derivations[path] = derivations.get(path, frozenset()) | {output}
            elif element.startswith("="):
                for path in self._closure(element[1:]):
                    sources.add(path)
                    found = self.objects.get(path)
                    if isinstance(found, Derivation):
                        derivations[path] = frozenset(found.outputs)
            else:
                sources.add(element)
        return frozenset(sources), derivations

    def _closure(self, path: str) -> set[str]:
        """A `.drv` object and everything that it refers to."""
        seen: set[str] = set()
        todo = [path]
        while todo:
            here = todo.pop()
            if here in seen:
                continue
            seen.add(here)
            found = self.objects.get(here)
            if isinstance(found, Derivation):
                todo += [*found.input_sources, *found.input_derivations]
        return seen

    def lazy(self, attributes: Value) -> dict[str, Value]:
        """`derivation`: the attributes, and those of each output, made when they are asked for."""
        given = expect_set(attributes)
        strict = delay(lambda: self.strict(given))
        outputs = (
            [str(expect_string(item)) for item in expect_list(given["outputs"])] if "outputs" in given else ["out"]
        )
        if not outputs:
            raise NixError("list index 0 is out of bounds")
        common: dict[str, Value] = dict(given)
        values: dict[str, dict[str, Value]] = {output: {} for output in outputs}
        common.update(values)
        common["all"] = [values[output] for output in outputs]
        common["drvAttrs"] = given
        for output, value in values.items():
            value.update(common)
            value["outPath"] = delay(lambda output=output: whnf(strict)[output])  # type: ignore[misc]
            value["drvPath"] = delay(lambda: whnf(strict)["drvPath"])
            value["type"] = "derivation"
            value["outputName"] = output
        return values[outputs[0]]


def hash_modulo(derivation: Derivation, known: dict[str, dict[str, bytes]], *, masked: bool) -> dict[str, bytes]:
    """A digest per output that stays the same when only the way to a fixed-output input changes.

    `known` holds the results of the input derivations by `.drv` path.
    """
    if derivation.fixed:
        output = derivation.outputs["out"]
        text = f"fixed:out:{output.algorithm}:{output.digest}:{output.path}"
        return {"out": hashlib.sha256(text.encode()).digest()}
    inputs: dict[str, frozenset[str]] = {}
    for path, names in derivation.input_derivations.items():
        for name in names:
            key = known[path][name].hex()
            inputs[key] = inputs.get(key, frozenset()) | {name}
    digest = hashlib.sha256(derivation.aterm(inputs, masked=masked)).digest()
    return dict.fromkeys(derivation.outputs, digest)


def bound_builtins(evaluator: Evaluator) -> Registry:
    """Those that make derivations."""
    builder = DerivationBuilder(evaluator.store_objects, evaluator.store_dir, evaluator.copy_path)
    bound = Registry()
    bound.add("derivationStrict", 1)(builder.strict)
    bound.add("derivation", 1)(builder.lazy)

    @bound.add("placeholder", 1)
    def builtin_placeholder(output: Value) -> str:
        return placeholder(str(expect_plain(output)))

    return bound
