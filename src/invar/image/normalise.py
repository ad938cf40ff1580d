"""What becomes of a configured root before it is a layer: pure functions from tree to tree.

Gone: everything of one machine (keys, identities, logs, caches) and what enables units. Moved: /var, which is a
machine's own, to the factory tree that systemd-tmpfiles copies from; dpkg's database, which from now on is read-only
information.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from invar.image.debian_users import apply_to_group, apply_to_passwd, renumber, settle_shadow
from invar.image.tree import Node, Tree, ordered, text_file

DEFAULT_EXCLUDES = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/bug/*",
    "/usr/share/postgresql/*/man/*",
    "/usr/lib/python3/dist-packages/awscli/examples/*",
)
"""dpkg's path-exclude patterns (`*` matches `/` too) for what a server does not read."""

INCLUDES = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")
"""Kept all the same: licences ask to be passed on."""

NOT_READ = frozenset({"dev", "proc", "run", "sys", "tmp"})
"""Mount points whose contents are nobody's."""

DATABASE = "usr/lib/sysimage/dpkg"
FACTORY = "usr/share/factory"
TMPFILES = "usr/lib/tmpfiles.d/invar-var.conf"
EXCLUDES_FILE = "etc/dpkg/dpkg.cfg.d/invar-excludes"

_DROPPED = (
    "boot/*",
    "vmlinuz*",
    "initrd.img*",
    ".*.usr-is-merged",
    "etc/.pwd.lock",
    "etc/hostname",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "etc/machine-id",
    "etc/mtab",
    "etc/resolv.conf",
    "etc/rc[0-6S].d/*",
    "etc/ssh/ssh_host_*",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "usr/lib/modules/*/build",
    "usr/lib/modules/*/source",
    "var/backups/*",
    "var/lib/apt/*",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/pam/*",
    "var/lib/shells.state",
    "var/lib/systemd/catalog/*",
    "var/lib/systemd/deb-systemd-*",
    "var/lib/ucf/*",
    "var/lib/*/*.old",
)
_DROPPED_FILES = ("var/cache/*", "var/log/*", "var/tmp/*")
_DATABASE_KEPT = (
    "status",
    "arch*",
    "available",
    "diversions",
    "statoverride",
    "info/format",
    "info/*.list",
    "info/*.md5sums",
    "alternatives/*",
)

_STATE_LINKS = {"home": "var/home", "root": "var/root", "srv": "var/srv"}
_MOUNT_POINTS = ("boot", "dev", "media", "mnt", "opt", "proc", "run", "sys", "var")
_CREATING = re.compile(r"[dDvqQfFCLpcb]")


@dataclass(frozen=True, slots=True)
class Normalised:
    """The layer's tree, and the texts of passwd, group, shadow and gshadow in it."""

    tree: Tree
    accounts: dict[str, str]


def normalise(tree: Tree, epoch: int, excludes: Sequence[str]) -> Normalised:
    """A configured root as it is to be in the layer. `epoch` is the lock's; `excludes` are path-exclude patterns."""
    tree = without(tree, _DROPPED)
    tree = {path: node for path, node in tree.items() if node.kind == "directory" or not _matches(path, _DROPPED_FILES)}
    tree = without_enabled_units(tree)
    tree = apply_excludes(tree, excludes)
    tree = without_dangling_alternatives(tree)
    tree, accounts = settle_accounts(tree, epoch)
    tree = move_database(tree)
    for name, place in _STATE_LINKS.items():
        tree = _moved(tree, name, place)
        tree[name] = Node("symlink", 0o777, target=place)
    tree = move_var(tree)
    tree |= {name: Node("directory", 0o755) for name in _MOUNT_POINTS}
    tree["tmp"] = Node("directory", 0o1777)
    tree |= fixed_files(tree, excludes)
    tree[""] = Node("directory", 0o755)
    return Normalised(with_parents(tree), accounts)


def without(tree: Tree, patterns: Iterable[str]) -> Tree:
    """The tree without what matches a pattern (`*` matches `/` too)."""
    matches = _compiled(patterns)
    return {path: node for path, node in tree.items() if not matches(path)}


def without_enabled_units(tree: Tree) -> Tree:
    """Nothing runs because its package was installed: no links, nor directories of links, below /etc/systemd/system."""
    kept: Tree = {}
    for path, node in tree.items():
        inside = path.startswith(("etc/systemd/system/", "etc/systemd/user/"))
        if inside and (node.kind == "symlink" or path.endswith((".wants", ".requires", ".upholds"))):
            continue
        kept[path] = node
    return kept


def apply_excludes(tree: Tree, excludes: Iterable[str]) -> Tree:
    """The tree without excluded files, and without the excluded directories that are then empty."""
    excluded, included = _compiled(excludes), _compiled(INCLUDES)
    doomed = {path for path in tree if excluded(f"/{path}") and not included(f"/{path}")}
    needed: set[str] = set()
    for path in tree.keys() - doomed:
        while path := path.rpartition("/")[0]:
            if path in needed:
                break
            needed.add(path)
    return {path: node for path, node in tree.items() if path not in doomed or path in needed}


def without_dangling_alternatives(tree: Tree) -> Tree:
    """No links of update-alternatives to what was excluded (mostly manual pages)."""
    doomed = {
        path
        for path, node in tree.items()
        if path.startswith("etc/alternatives/") and node.kind == "symlink" and not _exists(tree, node.target)
    }
    gone = {f"/{path}" for path in doomed}
    return {path: node for path, node in tree.items() if path not in doomed and node.target not in gone}


def settle_accounts(tree: Tree, epoch: int) -> tuple[Tree, dict[str, str]]:
    """Fixed numbers for the packages' users everywhere, and no trace of when they were made."""
    texts = {name: _text(tree, f"etc/{name}") for name in ("passwd", "group", "shadow", "gshadow")}
    change = renumber(texts["passwd"], texts["group"])
    passwd = apply_to_passwd(texts["passwd"], change)
    group = apply_to_group(texts["group"], change)
    accounts = {
        "passwd": passwd,
        "group": group,
        "shadow": settle_shadow(texts["shadow"], passwd, epoch // 86400),
        "gshadow": settle_shadow(texts["gshadow"], group, None),
    }
    changed: Tree = {}
    for path, node in tree.items():
        uid, gid = change.uids.get(node.uid, node.uid), change.gids.get(node.gid, node.gid)
        changed[path] = node if (uid, gid) == (node.uid, node.gid) else replace(node, uid=uid, gid=gid)
    for name, text in accounts.items():
        if f"etc/{name}" in changed:
            changed[f"etc/{name}"] = replace(
                changed[f"etc/{name}"], content=text.encode(), size=len(text.encode()), inode=None
            )
    return changed, accounts


def move_database(tree: Tree) -> Tree:
    """dpkg's database moved to `DATABASE`, as far as it informs; `/var/lib/dpkg` will be a link to it."""
    kept = _compiled(f"var/lib/dpkg/{pattern}" for pattern in _DATABASE_KEPT)
    tree = {
        path: node
        for path, node in tree.items()
        if not path.startswith("var/lib/dpkg/") or node.kind == "directory" or kept(path)
    }
    for empty in ("parts", "updates", "triggers"):
        tree.pop(f"var/lib/dpkg/{empty}", None)
    if "var/lib/dpkg" not in tree:
        return tree
    tree = _moved(tree, "var/lib/dpkg", DATABASE)
    tree["var/lib/dpkg"] = Node("symlink", 0o777, target=f"/{DATABASE}")
    return tree


def move_var(tree: Tree) -> Tree:
    """/var's files moved below `FACTORY`, and the tmpfiles.d(5) file that makes /var out of them at boot.

    What a package's own tmpfiles.d file makes is left to it. Numbers, not names, give the owners: the file is read
    before any account could be added.
    """
    declared = _declared_paths(tree)
    kept: Tree = {}
    factory: Tree = {}
    lines = []
    for path in ordered(tree):
        node = tree[path]
        if not path.startswith("var/"):
            kept[path] = node
            continue
        if node.kind == "file":
            factory[f"{FACTORY}/{path}"] = node
        if f"/{path}" not in declared:
            lines.append(tmpfiles_line(path, node))
    if lines:
        factory[TMPFILES] = text_file(
            "# Made by Invar: /var as the packages left it. See tmpfiles.d(5).\n" + "".join(lines)
        )
    return kept | factory


def tmpfiles_line(path: str, node: Node) -> str:
    """The line of tmpfiles.d(5) that makes one entry of /var."""
    place = _quoted(f"/{path}")
    match node.kind:
        case "directory":
            return f"d {place} {node.mode:04o} {node.uid} {node.gid} -\n"
        case "symlink":
            return f"L {place} - - - - {_quoted(node.target)}\n"
        case "file":
            return f"C {place} {node.mode:04o} {node.uid} {node.gid} - {_quoted(f'/{FACTORY}/{path}')}\n"


def fixed_files(tree: Tree, excludes: Sequence[str]) -> Tree:
    """Files whose contents are the same in every image."""
    resolved = "usr/lib/systemd/system/systemd-resolved.service" in tree
    said = "".join(f"path-exclude={pattern}\n" for pattern in excludes) + "".join(
        f"path-include={one}\n" for one in INCLUDES
    )
    files: Tree = {
        "etc/machine-id": text_file("", 0o444),
        "etc/mtab": Node("symlink", 0o777, target="../proc/self/mounts"),
        "etc/resolv.conf": Node(
            "symlink", 0o777, target="../run/systemd/resolve/stub-resolv.conf" if resolved else "../run/resolv.conf"
        ),
        EXCLUDES_FILE: text_file("# Left out of this image by Invar.\n" + said),
    }
    return files


def with_parents(tree: Tree) -> Tree:
    """The tree with the directories that entries lie in and that were not there yet."""
    added: Tree = {}
    for path in tree:
        while (path := path.rpartition("/")[0]) and path not in tree and path not in added:
            added[path] = Node("directory", 0o755)
    return tree | added


def _declared_paths(tree: Tree) -> set[str]:
    """The paths that the packages' own tmpfiles.d files make."""
    paths = set()
    for path, node in tree.items():
        if path.startswith("usr/lib/tmpfiles.d/") and path.endswith(".conf") and node.kind == "file":
            for line in node.read().decode(errors="replace").splitlines():
                words = line.split()
                if len(words) > 1 and _CREATING.match(words[0]) and "%" not in words[1]:
                    paths.add(words[1].rstrip("/"))
    return paths


def _moved(tree: Tree, source: str, target: str) -> Tree:
    """The entry `source` and all below it, now at `target`."""
    prefix = source + "/"
    moved: Tree = {}
    for path, node in tree.items():
        if path == source or path.startswith(prefix):
            moved[target + path[len(source) :]] = node
        else:
            moved[path] = node
    return moved


def _exists(tree: Tree, target: str) -> bool:
    """Whether an absolute path is in the tree, seen through the links of the merged /usr."""
    path = target.lstrip("/")
    return path in tree or (path.partition("/")[0] in ("bin", "lib", "lib64", "sbin") and f"usr/{path}" in tree)


def _text(tree: Tree, path: str) -> str:
    node = tree.get(path)
    return node.read().decode() if node else ""


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[\s\"'\\]", path) else escaped


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _compiled(patterns: Iterable[str]) -> _Matcher:
    translated = [fnmatch.translate(pattern) for pattern in patterns]
    return _Matcher(re.compile("|".join(translated)) if translated else None)


class _Matcher:
    """Whether a path matches any of the patterns that it was made of."""

    def __init__(self, expression: re.Pattern[str] | None) -> None:
        self._expression = expression

    def __call__(self, path: str) -> bool:
        return self._expression is not None and self._expression.match(os.fsdecode(os.fsencode(path))) is not None
