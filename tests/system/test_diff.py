"""The difference of two systems, as tables of cases and as invariants."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.system.diff import Kind, NamesChange, SystemDiff, ValueChange, diff_systems
from invar.system.record import Disk, EtcEntry, StoreObject, System, plain
from invar.system.text_changes import change_of_text
from systems import EMPTY, HASH, OTHER_HASH, check, etc, script, system, user

UNIT = "[Unit]\nDescription=nginx\n\n[Service]\nExecStart=/nix/store/{}-start\n"


def test_a_system_does_not_differ_from_itself() -> None:
    found = diff_systems(EMPTY, EMPTY)
    assert not found
    assert found == SystemDiff(True, (), *[NamesChange()] * 4, (), (), (), (), ())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"host_name": "other"}, ValueChange("host_name", "web", "other")),
        ({}, {"disk": Disk(4096, "invar-web-amd64")}, ValueChange("disk.size_mib", None, 4096)),
        ({"state_version": "25.05"}, {}, ValueChange("state_version", "25.05", "25.11")),
        ({}, {"architecture": "arm64"}, ValueChange("architecture", "amd64", "arm64")),
    ],
)
def test_values(old: dict[str, object], new: dict[str, object], expected: ValueChange) -> None:
    found = diff_systems(system(**old), system(**new))
    assert found.values == (expected,)
    assert found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (("a", "b"), ("b", "c"), NamesChange(("c",), ("a",))),
        (("a", "b"), ("b", "a"), NamesChange(reordered=True)),
        (("a",), ("a",), NamesChange()),
        ((), ("a", "b"), NamesChange(("a", "b"))),
    ],
)
def test_kernel_parameters(old: tuple[str, ...], new: tuple[str, ...], expected: NamesChange) -> None:
    assert diff_systems(system(kernel_params=old), system(kernel_params=new)).kernel_params == expected


def test_packages_asked_for_have_no_order() -> None:
    assert not diff_systems(system(packages=("a", "b")), system(packages=("b", "a"))).requests


def test_a_changed_user_tells_its_fields_and_never_a_password() -> None:
    old = system(users=(user("deploy"), user("gone")))
    new = system(users=(user("deploy", description="D", hashed_password="$y$j9T$secret"), user("new")))
    found = diff_systems(old, new).users
    assert [(change.name, change.kind) for change in found] == [
        ("deploy", "changed"),
        ("gone", "removed"),
        ("new", "added"),
    ]
    assert found[0].values == (
        ValueChange("description", "", "D"),
        ValueChange("hashed_password", None, "(not shown)"),
    )
    assert "secret" not in json.dumps(plain(found))


def test_checks() -> None:
    found = diff_systems(system(checks=(check("ssh"),)), system(checks=(check("ssh", port=2222), check("web")))).checks
    assert [(change.name, change.kind) for change in found] == [("ssh", "changed"), ("web", "added")]
    assert found[0].values == (ValueChange("port", 22, 2222),)


WANTS = etc("systemd/system/multi-user.target.wants/nginx.service", source="/etc/systemd/system/nginx.service")
SERVICE = etc("systemd/system/nginx.service", "[Service]\nExecStart=/bin/a\n")


@pytest.mark.parametrize(
    ("old", "new", "kind", "notes", "lines"),
    [
        ((), (SERVICE, WANTS), "added", ("wanted by multi-user.target",), 2),
        ((SERVICE, WANTS), (), "removed", ("no longer wanted by multi-user.target",), 2),
        ((SERVICE,), (SERVICE, WANTS), "changed", ("wanted by multi-user.target",), 0),
        (
            (SERVICE,),
            (etc("systemd/system/nginx.service", "[Service]\nExecStart=/bin/b\n"),),
            "changed",
            (),
            2,
        ),
        ((), (etc("systemd/system/nginx.service", source="/dev/null"),), "changed", ("masked",), 0),
        ((etc("systemd/system/nginx.service", source="/dev/null"),), (), "changed", ("no longer masked",), 0),
        ((), (etc("systemd/system/nginx.service.d/a.conf", "[Service]\nNice=5\n"),), "changed", (), 3),
        (
            (etc("systemd/system/nginx.service", "[Unit]\nX-Restart-Triggers=1\n"),),
            (etc("systemd/system/nginx.service", "[Unit]\nX-Restart-Triggers=2\n"),),
            "changed",
            ("restarts: files that it uses differ",),
            0,
        ),
    ],
)
def test_units(
    old: tuple[EtcEntry, ...], new: tuple[EtcEntry, ...], kind: Kind, notes: tuple[str, ...], lines: int
) -> None:
    found = diff_systems(system(etc=old), system(etc=new))
    (unit,) = found.units
    assert (unit.name, unit.kind, unit.notes) == ("nginx.service", kind, notes)
    assert sum(unit.text.counts) == lines
    assert not found.files


def test_a_unit_of_user_managers_has_a_name_of_its_own() -> None:
    found = diff_systems(EMPTY, system(etc=(etc("systemd/user/agent.service", "[Service]\n"),)))
    assert [unit.name for unit in found.units] == ["user/agent.service"]


def test_a_unit_that_only_follows_its_script_says_so_and_the_script_has_the_lines() -> None:
    old = system(
        etc=(etc("systemd/system/nginx.service", UNIT.format(HASH)),), store_objects=(script("start", "one\n"),)
    )
    new = system(
        etc=(etc("systemd/system/nginx.service", UNIT.format(OTHER_HASH)),),
        store_objects=(script("start", "two\n", hashed=OTHER_HASH),),
    )
    found = diff_systems(old, new)
    (unit,), (file,) = found.units, found.files
    assert unit.text.lines == ()
    assert unit.text.follows == ("start",)
    assert file.path == "/nix/store/…-start"
    assert [line for line in file.text.lines if line[0] in "+-"] == ["-one", "+two"]


def test_objects_that_stand_for_packages_are_left_to_the_package_diff() -> None:
    package = StoreObject(f"/nix/store/{HASH}-nginx-1.26", {}, ("nginx",))
    assert not diff_systems(EMPTY, system(store_objects=(package,))).files


def test_objects_of_the_same_name_are_kept_apart() -> None:
    new = system(store_objects=(script("run", "a\n"), script("run", "b\n", hashed=OTHER_HASH)))
    assert [file.path for file in diff_systems(EMPTY, new).files] == ["/nix/store/…-run", "/nix/store/…-run (2)"]


@pytest.mark.parametrize(
    ("old", "new", "notes"),
    [
        (etc("a", "x\n"), etc("a", "x\n", mode="0400"), ("mode 0444 → 0400",)),
        (etc("a", source="/usr/b"), etc("a", source="/usr/c"), ("link /usr/b → /usr/c",)),
        (etc("a", "x\n"), etc("a", source="/usr/c"), ("mode 0444 → symlink", "link (none) → /usr/c")),
        (None, etc("a", source="/usr/c"), ("link to /usr/c",)),
    ],
)
def test_what_is_not_in_a_files_text(old: EtcEntry | None, new: EtcEntry, notes: tuple[str, ...]) -> None:
    (file,) = diff_systems(system(etc=(old,) if old else ()), system(etc=(new,))).files
    assert (file.path, file.notes) == ("/etc/a", notes)


def test_a_link_to_an_object_of_another_hash_follows_it() -> None:
    old = system(etc=(etc("a", source=f"/nix/store/{HASH}-conf/x"),))
    new = system(etc=(etc("a", source=f"/nix/store/{OTHER_HASH}-conf/x"),))
    (file,) = diff_systems(old, new).files
    assert (file.notes, file.text.follows) == ((), ("conf",))


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("app.conf", "password = hunter2-hunter2\n"),
        ("app.conf", "API_KEY=hunter2-hunter2\n"),
        ("app/secret.txt", "hunter2-hunter2\n"),
        ("tls/server.key", "hunter2-hunter2\n"),
        ("ssh/id", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2-hunter2\n-----END OPENSSH PRIVATE KEY-----\n"),
    ],
)
def test_what_looks_secret_is_not_in_a_diff(target: str, text: str) -> None:
    before = system(etc=(etc(target, "harmless\n"),))
    after = system(etc=(etc(target, text),))
    for found in (diff_systems(before, after), diff_systems(after, before), diff_systems(EMPTY, after)):
        assert found.files
        assert "hunter2" not in json.dumps(plain(found))


def test_a_secret_value_that_changes_is_told_without_it() -> None:
    found = change_of_text("password = one-secret\n", "password = two-secret\n")
    assert found.lines == ()
    assert found.hidden == "a secret value"


# --- invariants ------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["alpha", "beta", "gamma", "delta"])
TEXTS = st.lists(WORDS, max_size=8).map(lambda lines: "".join(f"{line}\n" for line in lines))
ENTRIES = st.dictionaries(
    st.sampled_from(
        ["a", "b/c", "systemd/system/x.service", "systemd/system/x.service.d/o.conf", "systemd/network/1.network"]
    ),
    TEXTS,
).map(lambda texts: tuple(etc(target, text) for target, text in sorted(texts.items())))
SYSTEMS = st.builds(
    system,
    host_name=WORDS,
    packages=st.lists(WORDS, unique=True).map(tuple),
    kernel_params=st.lists(WORDS, unique=True).map(tuple),
    etc=ENTRIES,
    users=st.dictionaries(WORDS, st.sampled_from(["/bin/sh", "/bin/bash"])).map(
        lambda shells: tuple(user(name, shell=shell) for name, shell in sorted(shells.items()))
    ),
    checks=st.dictionaries(WORDS, st.integers(1, 3)).map(
        lambda ports: tuple(check(name, port=port) for name, port in sorted(ports.items()))
    ),
)


@given(SYSTEMS)
def test_nothing_differs_from_a_copy(one: System) -> None:
    found = diff_systems(one, dataclasses.replace(one))
    assert not found
    assert not any(getattr(found, field.name) for field in dataclasses.fields(found) if field.name != "same")


@given(SYSTEMS, SYSTEMS)
def test_the_way_back_is_the_mirror_image(one: System, two: System) -> None:
    there, back = diff_systems(one, two), diff_systems(two, one)
    swapped = {"added": "removed", "removed": "added", "changed": "changed"}
    for field in ("users", "groups", "checks", "units", "files"):
        forward = [
            (getattr(change, "name", None) or change.path, swapped[change.kind]) for change in getattr(there, field)
        ]
        assert forward == [
            (getattr(change, "name", None) or change.path, change.kind) for change in getattr(back, field)
        ]
    assert [(value.name, value.new, value.old) for value in there.values] == [
        (value.name, value.old, value.new) for value in back.values
    ]
    assert set(there.requests.added) == set(back.requests.removed)
    assert bool(there) == bool(back) == (one.spec_digest != two.spec_digest)


def kinds(found: SystemDiff, field: str) -> list[tuple[str, str]]:
    """Name and kind of every change in one part of a difference."""
    return [(change.path if field == "files" else change.name, change.kind) for change in getattr(found, field)]


@given(TEXTS, TEXTS)
def test_the_lines_make_the_new_text_of_the_old_one(old: str, new: str) -> None:
    change = change_of_text(old, new)
    assert patched(old.splitlines(), change.lines) == new.splitlines()


def patched(old: list[str], lines: tuple[str, ...]) -> list[str]:
    """What a unified diff makes of a text."""
    result: list[str] = []
    at = 0
    for line in lines:
        if hunk := re.match(r"@@ -(\d+)(?:,(\d+))? ", line):
            start = int(hunk[1]) - (0 if hunk[2] == "0" else 1)
            result += old[at:start]
            at = start
        elif line[0] == "+":
            result.append(line[1:])
        else:
            assert old[at] == line[1:]
            if line[0] == " ":
                result.append(old[at])
            at += 1
    return result + old[at:]
