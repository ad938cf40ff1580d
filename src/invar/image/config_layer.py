"""The config layer: /etc, accounts and store objects of a System as an EROFS with its hash tree, in milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from invar.core.canonical import digest
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.image.accounts import Accounts, merge_accounts
from invar.image.erofs import Directory, File, Node, Symlink, build_erofs
from invar.image.layer import BLOCK, Layer, PackagesLayer
from invar.image.verity import hash_tree
from invar.store.objects import Store
from invar.system.record import EtcEntry, StoreObject, System, plain
from invar.system.secrets import Finding, find_secrets, refuse_secrets

KIND = "config-layer"
REVISION = 1
"""Raised when the same input gives other bytes."""

SHADOW_FILES = ("shadow", "gshadow")
DIRECTORY_MODES = {"etc/sudoers.d": 0o750, "etc/ssl/private": 0o710}
"""Directories of packages that are not 0755: in an overlay the upper layer's mode counts."""

DIRECTORY_GROUPS = {"etc/ssl/private": "ssl-cert"}

_PACKAGE_LINKS = {"etc": "/etc", "lib": "/usr/lib", "share": "/usr/share"}
_PROGRAM_ORDER = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class LayerBytes:
    """A config layer in memory: `content` is EROFS and hash tree, as `Layer.image` has them."""

    key: str
    content: bytes
    data_blocks: int
    root_hash: str
    salt: str

    def at(self, image: Path) -> Layer:
        """The layer, once its content lies at `image`."""
        return Layer("config", self.key, image, self.data_blocks, len(self.content) // BLOCK, self.root_hash, self.salt)


def build_config_layer(
    system: System,
    packages: PackagesLayer,
    epoch: int,
    store: Store,
    report: Report,
    *,
    extra: Mapping[str, File] | None = None,
) -> Layer:
    """The config layer of a system over a packages layer; found again by what goes into it.

    `epoch` is in seconds since 1970: every time stamp in the layer. `extra` are files beside the system's own, by path.
    Raises InvarError for contradicting accounts, entries in each other's way, and secrets.
    """
    key = config_layer_key(system, packages, epoch, extra or {})
    with report.stage("config layer") as stage, store.creating(KIND, key) as temporary:
        stage.cached = temporary is None
        if temporary is not None:
            made = make_config_layer(system, packages, epoch, extra or {})
            temporary.mkdir()
            (temporary / "layer").write_bytes(made.content)
            (temporary / "root-hash").write_text(f"{made.root_hash} {made.data_blocks}\n")
    return _read(store.path(KIND, key), key)


def config_layer_key(system: System, packages: PackagesLayer, epoch: int, extra: Mapping[str, File]) -> str:
    """The layer's identity: everything that it is made of."""
    return digest(
        {
            "accounts": packages.accounts,
            "epoch": epoch,
            "etc": plain(system.etc),
            "extra": {
                path: [hashlib.sha256(file.content).hexdigest(), file.mode, file.uid, file.gid]
                for path, file in extra.items()
            },
            "groups": plain(system.groups),
            "programs": _programs_in_use(system, packages),
            "revision": REVISION,
            "store_objects": plain(system.store_objects),
            "users": plain(system.users),
        }
    )


def make_config_layer(system: System, packages: PackagesLayer, epoch: int, extra: Mapping[str, File]) -> LayerBytes:
    """The layer, in memory. Arguments and errors are those of `build_config_layer`."""
    key = config_layer_key(system, packages, epoch, extra)
    refuse_secrets(_secrets(system))
    accounts = merge_accounts(packages.accounts, system.users, system.groups, epoch)
    data = build_erofs(config_tree(system, packages, accounts, extra), uuid=_uuid(key), build_time=epoch)
    root_hash, tree = hash_tree(data, _salt(key))
    return LayerBytes(key, data + tree, len(data) // BLOCK, root_hash, _salt(key).hex())


def config_tree(
    system: System, packages: PackagesLayer, accounts: Accounts, extra: Mapping[str, File] | None = None
) -> Directory:
    """What is in the layer."""
    tree: dict[str, Node] = {}
    for path, file in (extra or {}).items():
        _put(tree, path, file, "invar.machine")
    for entry in system.etc:
        if entry.target in ("passwd", "group", *SHADOW_FILES):
            raise InvarError(
                f"/etc/{entry.target} cannot be set",
                where=_etc_origin(entry),
                why="it is made from users.users and users.groups",
            )
        _put(tree, f"etc/{entry.target}", _etc_node(entry, accounts), _etc_origin(entry))
    for name in ("passwd", "group"):
        tree[f"etc/{name}"] = File(getattr(accounts, name).encode())
    for name in SHADOW_FILES:
        tree[f"etc/{name}"] = File(getattr(accounts, name).encode(), 0o640, 0, accounts.gids.get("shadow", 0))
    for object_ in system.store_objects:
        for relative, node in _store_nodes(object_, packages):
            _put(tree, object_.path.lstrip("/") + (f"/{relative}" if relative else ""), node, object_.path)
    return _nest(tree, accounts)


def _read(path: Path, key: str) -> Layer:
    image = path / "layer"
    root_hash, data_blocks = (path / "root-hash").read_text().split()
    total = image.stat().st_size // BLOCK
    return Layer("config", key, image, int(data_blocks), total, root_hash, _salt(key).hex())


def _salt(key: str) -> bytes:
    return hashlib.sha256(f"salt {key}".encode()).digest()


def _uuid(key: str) -> bytes:
    return hashlib.sha256(f"uuid {key}".encode()).digest()[:16]


def _programs_in_use(system: System, packages: PackagesLayer) -> dict[str, tuple[str, ...]]:
    names = sorted({name for object_ in system.store_objects for name in object_.package})
    return {name: packages.programs.get(name, ()) for name in names}


def _secrets(system: System) -> Iterator[Finding]:
    for entry in system.etc:
        if entry.text is not None:
            yield from find_secrets(entry.text, f"/etc/{entry.target}", _etc_origin(entry))
    for object_ in system.store_objects:
        for relative, node in object_.entries.items():
            if node["type"] == "file":
                path = f"{object_.path}/{relative}" if relative else object_.path
                yield from find_secrets(node["text"], path, "the configuration")


def _etc_origin(entry: EtcEntry) -> str:
    return f'environment.etc."{entry.target}"'


def _etc_node(entry: EtcEntry, accounts: Accounts) -> Node:
    if entry.text is None:
        if not entry.source:
            raise InvarError(f"/etc/{entry.target} has neither text nor source", where=_etc_origin(entry))
        return Symlink(entry.source)
    try:
        mode = 0o444 if entry.mode == "symlink" else int(entry.mode, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise InvarError(f"{entry.mode!r} is no file mode", where=_etc_origin(entry), hint='octal, such as "0644"')
    uid = _owner(entry.user, accounts.uids, "user", entry)
    return File(entry.text.encode(), mode, uid, _owner(entry.group, accounts.gids, "group", entry))


def _owner(name: str, numbers: Mapping[str, int], kind: str, entry: EtcEntry) -> int:
    if name in numbers:
        return numbers[name]
    if name.isascii() and name.isdigit():
        return int(name)
    raise InvarError(
        f"/etc/{entry.target} belongs to the {kind} {name}, which does not exist", where=_etc_origin(entry)
    )


def _store_nodes(object_: StoreObject, packages: PackagesLayer) -> Iterator[tuple[str, Node]]:
    if object_.package:
        yield from _package_links(object_, packages)
    for relative, node in object_.entries.items():
        yield relative, _store_node(node)


def _store_node(node: Mapping[str, Any]) -> Node:
    match node["type"]:
        case "file":
            return File(node["text"].encode(), 0o555 if node.get("executable") else 0o444)
        case "symlink":
            return Symlink(node["target"])
        case "directory":
            return Directory({}, 0o555)
    raise ValueError(f"not a kind of store entry: {node['type']!r}")


def _package_links(object_: StoreObject, packages: PackagesLayer) -> Iterator[tuple[str, Node]]:
    """A Debian package as Nix expressions see one: its programs in bin/, whatever directory Debian has them in."""
    programs: dict[str, str] = {}
    for name in object_.package:
        if name not in packages.packages:
            raise InvarError(f"the package {name} is referred to but is not in the packages layer", where=object_.path)
        for path in sorted(packages.programs.get(name, ()), key=_program_rank):
            programs.setdefault(PurePosixPath(path).name, path)
    yield "", Directory({}, 0o555)
    for program, path in programs.items():
        yield f"bin/{program}", Symlink(path)
    for link, target in _PACKAGE_LINKS.items():
        yield link, Symlink(target)


def _program_rank(path: str) -> tuple[int, str]:
    directory = str(PurePosixPath(path).parent)
    rank = _PROGRAM_ORDER.index(directory) if directory in _PROGRAM_ORDER else len(_PROGRAM_ORDER)
    return rank, path


def _put(tree: dict[str, Node], path: str, node: Node, origin: str) -> None:
    parts = PurePosixPath(path).parts
    if path != "/".join(parts) or ".." in parts or path.startswith("/"):
        raise InvarError(f"{path!r} is no path for a file", where=origin, hint='a path relative to /etc, without ".."')
    if path in tree and tree[path] != node:
        raise InvarError(f"/{path} is defined twice", where=origin)
    tree[path] = node


def _nest(tree: Mapping[str, Node], accounts: Accounts) -> Directory:
    """The directories that paths imply. Raises InvarError where a file would have to be a directory too."""
    root = Directory()
    directories = {"": root}

    def directory(path: str) -> Directory:
        if path not in directories:
            parent, _, name = path.rpartition("/")
            in_store = path.startswith("nix/store/")
            mode = DIRECTORY_MODES.get(path, 0o555 if in_store else 0o755)
            made = Directory({}, mode, 0, accounts.gids.get(DIRECTORY_GROUPS.get(path, "root"), 0))
            if directory(parent).entries.setdefault(name, made) is not made:
                raise InvarError(f"/{path} is a file, and files are to be in it", where="environment.etc")
            directories[path] = made
        return directories[path]

    for path in sorted(tree):
        node = tree[path]
        if isinstance(node, Directory):
            directory(path)
            continue
        parent, _, name = path.rpartition("/")
        directory(parent).entries[name] = node
    return root
