"""How builtins are declared: a function, its Nix name and how many arguments it takes."""

from __future__ import annotations

from invar.nix.values import Primop, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Fn = TypeVar("Fn", bound=Callable[..., Value])


class Registry(dict[str, Primop]):
    """Primops by name."""

    def add(self, name: str, arity: int) -> Callable[[Fn], Fn]:
        """Declare the decorated function, which gets its arguments unforced."""

        def declare(fn: Fn) -> Fn:
            self[name] = Primop(name, arity, fn)
            return fn

        return declare
