"""The config layer: what the configuration says is in it, with owners and modes, and the same bytes every time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.image.accounts import merge_accounts
from invar.image.config_layer import build_config_layer, config_tree
from invar.image.erofs import Directory, File, Node, Symlink
from invar.image.layer import BLOCK, Layer, PackagesLayer
from invar.image.verity import verify
from invar.store.objects import Store
from invar.system.record import Disk, EtcEntry, Group, StoreObject, System, User

EPOCH = 1_750_000_000
STORE_PATH = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-thing"


def packages_layer(**changed: Any) -> PackagesLayer:
    layer = PackagesLayer(
        layer=Layer("packages", "key", Path("/nowhere"), 1, 1, "0" * 64, "0" * 64),
        kernel=Path("/nowhere"),
        kernel_version="6.12",
        modules=Path("/nowhere"),
        accounts={
            "passwd": "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
            "group": "root:x:0:\nwww-data:x:33:\nshadow:x:42:\n",
            "shadow": "root:*:20000:0:99999:7:::\nwww-data:*:20000:0:99999:7:::\n",
            "gshadow": "root:*::\nwww-data:*::\nshadow:*::\n",
        },
        programs={
            "nginx": ("/usr/sbin/nginx",),
            "coreutils": ("/usr/bin/ls", "/usr/bin/cat"),
            "hidden": ("/usr/sbin/ls",),
        },
        packages={"nginx": "1.26", "coreutils": "9.7", "hidden": "1"},
    )
    return dataclasses.replace(layer, **changed)


def system(**changed: Any) -> System:
    fields: dict[str, Any] = {
        "name": "web",
        "host_name": "web",
        "architecture": "amd64",
        "packages": (),
        "kernel_package": "linux-image-cloud-amd64",
        "kernel_params": (),
        "initrd_modules": (),
        "etc": (),
        "store_objects": (),
        "users": (User("deploy", None, "users", (), "", "/home/deploy", True, "/bin/bash", True, None),),
        "groups": (Group("users", 100, ()),),
        "checks": (),
        "disk": Disk(None, "web"),
        "state_version": "25.05",
    }
    return System(**{**fields, **changed})


def entry(target: str, text: str | None = "x\n", **changed: Any) -> EtcEntry:
    fields: dict[str, Any] = {"source": None, "mode": "symlink", "user": "root", "group": "root"}
    return EtcEntry(target=target, text=text, **{**fields, **changed})


def tree(changed: System, packages: PackagesLayer | None = None) -> Directory:
    layer = packages or packages_layer()
    return config_tree(changed, layer, merge_accounts(layer.accounts, changed.users, changed.groups, EPOCH))


def at(root: Directory, path: str) -> Node:
    node: Node = root
    for name in path.strip("/").split("/"):
        assert isinstance(node, Directory)
        node = node.entries[name]
    return node


def test_entries_of_etc_have_their_kind_mode_and_owner() -> None:
    root = tree(
        system(
            etc=(
                entry("hostname", "web\n"),
                entry("secret/key", "k\n", mode="0640", user="deploy", group="www-data"),
                entry("localtime", None, source="/usr/share/zoneinfo/UTC"),
                entry("numbers", "n\n", mode="0600", user="12345", group="0"),
            )
        )
    )
    uid = tree_uid()
    assert at(root, "/etc/hostname") == File(b"web\n", 0o444)
    assert at(root, "/etc/secret/key") == File(b"k\n", 0o640, uid, 33)
    assert at(root, "/etc/localtime") == Symlink("/usr/share/zoneinfo/UTC")
    assert at(root, "/etc/numbers") == File(b"n\n", 0o600, 12345, 0)


def tree_uid() -> int:
    accounts = merge_accounts(packages_layer().accounts, system().users, system().groups, EPOCH)
    return accounts.uids["deploy"]


def test_accounts_are_there_and_passwords_are_for_root_alone() -> None:
    root = tree(system())
    passwd, shadow = at(root, "/etc/passwd"), at(root, "/etc/shadow")
    assert isinstance(passwd, File) and b"deploy:x:" in passwd.content and passwd.mode == 0o644
    assert isinstance(shadow, File) and (shadow.mode, shadow.uid, shadow.gid) == (0o640, 0, 42)


def test_store_objects_are_files_links_and_directories() -> None:
    entries: dict[str, dict[str, Any]] = {
        "": {"type": "directory"},
        "bin/run": {"type": "file", "text": "#!/bin/sh\n", "executable": True},
        "note": {"type": "file", "text": "n", "executable": False},
        "link": {"type": "symlink", "target": "note"},
    }
    single = StoreObject(STORE_PATH + "-text", {"": {"type": "file", "text": "t", "executable": False}})
    root = tree(system(store_objects=(StoreObject(STORE_PATH, entries), single)))
    assert at(root, STORE_PATH + "/bin/run") == File(b"#!/bin/sh\n", 0o555)
    assert at(root, STORE_PATH + "/note") == File(b"n", 0o444)
    assert at(root, STORE_PATH + "/link") == Symlink("note")
    assert at(root, STORE_PATH + "-text") == File(b"t", 0o444)


def test_a_packages_object_links_to_its_programs_and_bin_wins_over_sbin() -> None:
    root = tree(system(store_objects=(StoreObject(STORE_PATH, {}, ("nginx", "hidden", "coreutils")),)))
    assert at(root, STORE_PATH + "/bin/nginx") == Symlink("/usr/sbin/nginx")
    assert at(root, STORE_PATH + "/bin/cat") == Symlink("/usr/bin/cat")
    assert at(root, STORE_PATH + "/share") == Symlink("/usr/share")
    assert at(root, STORE_PATH + "/lib") == Symlink("/usr/lib")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"etc": (entry("passwd"),)}, "cannot be set"),
        ({"etc": (entry("a"), entry("a/b"))}, "is a file, and files are to be in it"),
        ({"etc": (entry("../x"),)}, "no path for a file"),
        ({"etc": (entry("/x"),)}, "no path for a file"),
        ({"etc": (entry("x", mode="rw"),)}, "no file mode"),
        ({"etc": (entry("x", mode="0644", user="ghost"),)}, "the user ghost, which does not exist"),
        ({"etc": (entry("x", None),)}, "neither text nor source"),
        ({"store_objects": (StoreObject(STORE_PATH, {}, ("absent",)),)}, "absent is referred to"),
    ],
)
def test_what_cannot_be_is_told(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvarError, match=problem):
        tree(system(**changed))


def test_the_layer_is_sealed_and_found_again(tmp_path: Path) -> None:
    changed = system(etc=(entry("hostname", "web\n"),))
    store, report = Store(tmp_path / "store"), Report()
    layer = build_config_layer(changed, packages_layer(), EPOCH, store, report)
    verify(layer.image, layer.root_hash, layer.salt, layer.data_blocks)
    assert layer.image.stat().st_size == layer.total_blocks * BLOCK
    assert not report.cached["config layer"]
    again = Report()
    assert build_config_layer(changed, packages_layer(), EPOCH, store, again) == layer
    assert again.cached["config layer"]


def test_two_stores_hold_the_same_bytes(tmp_path: Path) -> None:
    changed = system(etc=(entry("b"), entry("a")))
    layers = [build_config_layer(changed, packages_layer(), EPOCH, Store(tmp_path / n), Report()) for n in "ab"]
    assert layers[0].image.read_bytes() == layers[1].image.read_bytes()


def test_only_what_is_in_the_layer_changes_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def key(changed: System, packages: PackagesLayer | None = None) -> str:
        return build_config_layer(changed, packages or packages_layer(), EPOCH, store, Report()).key

    base = key(system())
    assert key(system(kernel_params=("quiet",), packages=("curl",), disk=Disk(9000, "x"))) == base
    assert key(system(), packages_layer(kernel_version="7", packages={"other": "1"})) == base
    assert key(system(etc=(entry("x"),))) != base


def test_a_secret_stops_the_layer_and_nothing_is_left(tmp_path: Path) -> None:
    text = "-" * 5 + "BEGIN OPENSSH PRIVATE KEY" + "-" * 5
    store = Store(tmp_path / "store")
    with pytest.raises(InvarError) as caught:
        build_config_layer(system(etc=(entry("ssh/key", text),)), packages_layer(), EPOCH, store, Report())
    assert "/etc/ssh/key" in str(caught.value)
    assert caught.value.where == 'environment.etc."ssh/key"'
    assert list((tmp_path / "store").glob("config-layer/*")) == []
