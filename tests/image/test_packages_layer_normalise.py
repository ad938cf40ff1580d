"""What normalising drops, moves and adds: trees in, trees out."""

from __future__ import annotations

import pytest

from invar.image.normalise import (
    DATABASE,
    DEFAULT_EXCLUDES,
    EXCLUDES_FILE,
    FACTORY,
    TMPFILES,
    apply_excludes,
    normalise,
    tmpfiles_line,
)
from invar.image.tree import Node, Tree, text_file

EPOCH = 1_700_000_000
PASSWD = "root:x:0:0::/root:/bin/sh\npostgres:x:107:113::/var/lib/postgresql:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n"
GROUP = "root:x:0:\nusers:x:100:\npostgres:x:113:\nssl-cert:x:112:postgres\nwww-data:x:33:\n"
SHADOW = "root:*:20000:0:99999:7:::\npostgres:!:20001:::::::\nwww-data:*:20000:0:99999:7:::\n"
GSHADOW = "root:*::\npostgres:!::\nssl-cert:!::postgres\n"
DIRECTORY = Node("directory")


def link(target: str) -> Node:
    """A symbolic link."""
    return Node("symlink", 0o777, target=target)


@pytest.fixture
def tree() -> Tree:
    """A root with accounts and nothing else."""
    return {
        "": DIRECTORY,
        "etc": DIRECTORY,
        "etc/passwd": text_file(PASSWD),
        "etc/group": text_file(GROUP),
        "etc/shadow": text_file(SHADOW, 0o640),
        "etc/gshadow": text_file(GSHADOW, 0o640),
        "usr": DIRECTORY,
        "var": DIRECTORY,
    }


def result(tree: Tree, excludes: tuple[str, ...] = DEFAULT_EXCLUDES) -> Tree:
    """The normalised tree."""
    return normalise(tree, EPOCH, excludes).tree


def text(tree: Tree, path: str) -> str:
    """A file's text."""
    return tree[path].read().decode()


@pytest.mark.parametrize(
    "path",
    [
        "boot/vmlinuz-6.12",
        "etc/passwd-",
        "etc/.pwd.lock",
        "etc/hostname",
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_ed25519_key.pub",
        "etc/ssl/private/ssl-cert-snakeoil.key",
        "etc/systemd/system/multi-user.target.wants/nginx.service",
        "etc/systemd/system/sshd.service",
        "etc/systemd/user/default.target.wants/x.service",
        "etc/rc3.d/S01nginx",
        "usr/lib/modules/6.12/build",
        "usr/share/doc/nginx/README",
        "usr/share/man/man1/ls.1.gz",
        "usr/share/locale/de/LC_MESSAGES/a.mo",
        "vmlinuz",
        "initrd.img.old",
        ".libx32.usr-is-merged",
    ],
)
def test_it_is_not_in_the_layer(tree: Tree, path: str) -> None:
    assert path not in result(tree | {path: link("somewhere")})


@pytest.mark.parametrize("path", ["var/log/dpkg.log", "var/cache/ldconfig/aux-cache", "var/lib/dbus/machine-id"])
def test_what_one_machine_wrote_is_not_even_in_the_factory(tree: Tree, path: str) -> None:
    done = result(tree | {"var/lib": DIRECTORY, path: text_file("x")})
    assert not [name for name in done if name.endswith(path)]
    assert path not in text(done, TMPFILES)


@pytest.mark.parametrize(
    "path",
    ["usr/share/doc/nginx/copyright", "etc/ssh/sshd_config", "usr/lib/modules/6.12/kernel/a.ko.xz", "opt/tool/run"],
)
def test_it_stays(tree: Tree, path: str) -> None:
    assert path in result(tree | {path: text_file("x")})


def test_a_unit_file_of_the_administrator_stays(tree: Tree) -> None:
    done = result(tree | {"etc/systemd/system/own.service": text_file("[Service]\n")})
    assert "etc/systemd/system/own.service" in done


def test_excluded_directories_go_unless_something_in_them_stays() -> None:
    tree = {
        "usr/share/doc": DIRECTORY,
        "usr/share/doc/a": DIRECTORY,
        "usr/share/doc/a/README": text_file("x"),
        "usr/share/doc/b": DIRECTORY,
        "usr/share/doc/b/copyright": text_file("x"),
    }
    kept = apply_excludes(tree, DEFAULT_EXCLUDES)
    assert set(kept) == {"usr/share/doc", "usr/share/doc/b", "usr/share/doc/b/copyright"}


def test_the_image_says_what_was_excluded(tree: Tree) -> None:
    said = text(result(tree, ("/usr/share/games/*",)), EXCLUDES_FILE).splitlines()
    assert "path-exclude=/usr/share/games/*" in said
    assert "path-include=/usr/share/doc/*/copyright" in said


def test_alternatives_of_excluded_pages_leave_no_dangling_links(tree: Tree) -> None:
    tree |= {
        "usr/bin/mawk": text_file("x"),
        "usr/bin/awk": link("/etc/alternatives/awk"),
        "etc/alternatives/awk": link("/usr/bin/mawk"),
        "usr/share/man/man1/mawk.1.gz": text_file("x"),
        "etc/alternatives/awk.1.gz": link("/usr/share/man/man1/mawk.1.gz"),
    }
    done = result(tree)
    assert done["usr/bin/awk"].target == "/etc/alternatives/awk"
    assert "etc/alternatives/awk" in done
    assert "etc/alternatives/awk.1.gz" not in done


def test_users_get_their_fixed_numbers_everywhere(tree: Tree) -> None:
    tree |= {
        "etc/postgresql": Node("directory", 0o755, 107, 113),
        "usr/bin/x": Node("file", 0o755, 0, 112, content=b""),
    }
    done = normalise(tree, EPOCH, ())
    uid = int(done.accounts["passwd"].split("postgres:x:")[1].split(":")[0])
    assert uid == 119
    assert (done.tree["etc/postgresql"].uid, done.tree["etc/postgresql"].gid) == (119, 119)
    assert done.tree["usr/bin/x"].gid == 120
    assert "users:x:100:" in done.accounts["group"]
    assert "www-data:x:33:33:" in done.accounts["passwd"]
    assert text(done.tree, "etc/passwd") == done.accounts["passwd"]


def test_the_day_of_installation_is_the_locks(tree: Tree) -> None:
    shadow = normalise(tree, EPOCH, ()).accounts["shadow"]
    assert {line.split(":")[2] for line in shadow.splitlines()} == {str(EPOCH // 86400)}


def test_var_becomes_a_tmpfiles_file_and_a_factory(tree: Tree) -> None:
    tree |= {
        "var/lib": DIRECTORY,
        "var/lib/postgresql": Node("directory", 0o700, 107, 113),
        "var/www": DIRECTORY,
        "var/www/index.html": text_file("hello"),
        "var/lock": link("/run/lock"),
    }
    done = result(tree)
    lines = text(done, TMPFILES).splitlines()
    assert "d /var/lib/postgresql 0700 119 119 -" in lines
    assert f"C /var/www/index.html 0644 0 0 - /{FACTORY}/var/www/index.html" in lines
    assert "L /var/lock - - - - /run/lock" in lines
    assert text(done, f"{FACTORY}/var/www/index.html") == "hello"
    assert done[f"{FACTORY}/var/www"].kind == "directory"
    assert [path for path in done if path.startswith("var/")] == []


def test_what_a_package_declares_itself_is_left_to_it(tree: Tree) -> None:
    tree |= {
        "usr/lib/tmpfiles.d/var.conf": text_file("# x\nd /var/log 0755 - - -\nq /var/tmp 1777 root root 30d\n"),
        "var/log": DIRECTORY,
        "var/tmp": DIRECTORY,
        "var/mail": DIRECTORY,
    }
    lines = text(result(tree), TMPFILES)
    assert "/var/log" not in lines
    assert "/var/tmp" not in lines
    assert "d /var/mail" in lines


@pytest.mark.parametrize(
    ("path", "expected"),
    [("var/a b", 'd "/var/a b" 0755 0 0 -\n'), ("var/50%", "d /var/50%% 0755 0 0 -\n")],
)
def test_names_are_quoted_for_tmpfiles(path: str, expected: str) -> None:
    assert tmpfiles_line(path, DIRECTORY) == expected


def test_homes_live_in_var(tree: Tree) -> None:
    done = result(tree | {"root": Node("directory", 0o700), "root/.profile": text_file("x"), "home": DIRECTORY})
    assert done["root"].target == "var/root"
    assert done["home"].target == "var/home"
    assert done["srv"].target == "var/srv"
    assert "d /var/root 0700 0 0 -" in text(done, TMPFILES)
    assert f"{FACTORY}/var/root/.profile" in done


def test_dpkgs_database_is_information(tree: Tree) -> None:
    tree |= {
        "var/lib": DIRECTORY,
        "var/lib/dpkg": DIRECTORY,
        "var/lib/dpkg/status": text_file("Package: x\n"),
        "var/lib/dpkg/status-old": text_file("old"),
        "var/lib/dpkg/lock": text_file(""),
        "var/lib/dpkg/info": DIRECTORY,
        "var/lib/dpkg/info/x.list": text_file("/.\n"),
        "var/lib/dpkg/info/x.postinst": text_file("#!/bin/sh\n"),
    }
    done = result(tree)
    kept = {path.removeprefix(DATABASE + "/") for path in done if path.startswith(DATABASE + "/")}
    assert kept == {"status", "info", "info/x.list"}
    assert f"L /var/lib/dpkg - - - - /{DATABASE}" in text(done, TMPFILES)


def test_the_machine_has_no_identity_yet(tree: Tree) -> None:
    done = result(tree | {"etc/machine-id": text_file("0123456789abcdef0123456789abcdef\n")})
    assert text(done, "etc/machine-id") == ""
    assert done["etc/machine-id"].mode == 0o444


def test_names_are_resolved_by_resolved_where_it_is(tree: Tree) -> None:
    assert result(tree)["etc/resolv.conf"].target == "../run/resolv.conf"
    tree["usr/lib/systemd/system/systemd-resolved.service"] = text_file("")
    assert result(tree)["etc/resolv.conf"].target == "../run/systemd/resolve/stub-resolv.conf"


def test_every_entry_has_its_directory(tree: Tree) -> None:
    tree |= {"var/lib": DIRECTORY, "var/lib/x": DIRECTORY, "var/lib/x/y": text_file("")}
    done = result(tree)
    orphans = [path for path in done if path and path.rpartition("/")[0] not in done]
    assert orphans == []


def test_normalising_is_the_same_in_any_order(tree: Tree) -> None:
    tree |= {"var/b": DIRECTORY, "var/a": text_file("1"), "home": DIRECTORY}
    backwards = dict(reversed(tree.items()))
    assert result(tree) == result(backwards)
