"""The error of definitions for options that do not exist, with the names that may have been meant."""

from __future__ import annotations

from collections.abc import Iterator

from invar.modules.errors import OptionError
from invar.modules.merge import Loc
from invar.modules.option_groups import Group
from invar.modules.options import Option
from invar.modules.properties import Definition
from invar.modules.render import show_definitions, show_option
from invar.nix.errors import NixError, nearest

_LIMIT = 4000
_OTHERS = 5


def unknown_options(root: Group, unmatched: list[tuple[Loc, Definition]]) -> OptionError:
    """The error that names the first unknown option with all its definitions, and the other unknown ones."""
    loc = unmatched[0][0]
    definitions = [definition for other, definition in unmatched if other == loc]
    others = list(dict.fromkeys(other for other, _ in unmatched if other != loc))
    message = f"The option `{show_option(loc)}' does not exist. Definition values:{show_definitions(definitions)}"
    if others:
        listed = ", ".join(f"`{show_option(other)}'" for other in others[:_OTHERS])
        more = f" and {len(others) - _OTHERS} more" if len(others) > _OTHERS else ""
        message += f"\nNeither do: {listed}{more}."
    return OptionError(
        message,
        places=[(definition.file, definition.position()) for definition in definitions],
        hint=_hint(root, loc[len(root.loc) :], root.loc),
    )


def _hint(root: Group, relative: Loc, prefix: Loc) -> str | None:
    suggestions = [show_option((*prefix, *path)) for path in suggest(root, relative)]
    if suggestions:
        quoted = [f"`{one}'" for one in suggestions]
        return "did you mean " + (quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}") + "?"
    if not any(name != "_module" for name in root.names()):
        return "no options are declared here: import the module that declares them"
    return None


def suggest(root: Group, path: Loc) -> list[Loc]:
    """Paths of options near to one that does not exist, best first; at most three."""
    group = root
    for depth, name in enumerate(path):
        names = [one for one in group.names() if one != "_module"]
        if name not in names:
            near = [(*path[:depth], one) for one in nearest(name, names)]
            near = [one for one in near if _leads_on(root, one, path[depth + 1 :])] or near
            return near or _elsewhere(root, path)
        node = group.node(name)
        if isinstance(node, Option):
            return []
        group = node
    return []


def _leads_on(root: Group, path: Loc, rest: Loc) -> bool:
    """Whether the remainder of the misspelt path exists below a suggestion."""
    group: Group | Option = root
    for name in (*path, *rest):
        if not isinstance(group, Group):
            return True
        if name not in group.names():
            return False
        group = group.node(name)
    return True


def _elsewhere(root: Group, path: Loc) -> list[Loc]:
    """Options elsewhere in the tree that end in the same names, or are spelt nearly the same."""
    known = dict.fromkeys(_paths(root))
    last = path[-1]
    same = sorted((one for one in known if one[-1] == last), key=lambda one: (-_common(one, path), len(one), one))
    if same:
        return same[:3]
    by_text = {".".join(one): one for one in known}
    return [by_text[text] for text in nearest(".".join(path), by_text)]


def _common(left: Loc, right: Loc) -> int:
    return len(set(left) & set(right))


def _paths(root: Group) -> Iterator[Loc]:
    pending: list[tuple[Loc, Group]] = [((), root)]
    count = 0
    while pending and count < _LIMIT:
        prefix, group = pending.pop()
        for name in group.names():
            if name == "_module":
                continue
            path = (*prefix, name)
            try:
                node = group.node(name)
            except NixError:
                continue
            if isinstance(node, Group):
                pending.append((path, node))
            else:
                count += 1
                yield path
