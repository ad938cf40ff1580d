"""Numbers, boot entries and what may be deleted: the deciders, and records that survive anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.machine import generations, state
from invar.machine.active import parse_cmdline
from invar.machine.boot_entries import BootEntry, entry_name, parse_name
from invar.machine.boot_target import Rename, plan_renames
from invar.machine.collection import Wanted, doomed_generations, doomed_layers, failed_generations, protected
from invar.machine.consumers import Consumed, changed_files, consumed
from invar.machine.generations import Generation, LayerRecord, State


def generation(number: int, found: State = "good", *, bootable: bool = True, config: str = "") -> Generation:
    root = config or f"{number:064x}"
    return Generation(
        number,
        f"{number:064x}",
        "s",
        LayerRecord("packages", "p", "s", 1, 1),
        LayerRecord("config", root, "s", 1, 1),
        "",
        "6.12",
        "k",
        "i",
        0,
        "switch",
        found,
        bootable,
    )


def entry(name: str) -> BootEntry:
    found = parse_name(Path(name))
    assert found is not None
    return found


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(state, "GENERATIONS", tmp_path / "generations")
    return tmp_path


def test_records_are_read_back_and_leftovers_of_a_cut_are_passed_over(own_state: Path) -> None:
    generations.write(generation(2))
    generations.write(generation(1))
    (own_state / "generations/.000003.json.new").write_text("{")
    assert generations.read_all() == (generation(1), generation(2))
    generations.mark(generation(1), "failed")
    assert generations.read_all()[0].state == "failed"
    generations.forget(2)
    assert generations.next_number(generations.read_all()) == 2


def test_a_record_that_was_tampered_with_is_an_error(own_state: Path) -> None:
    generations.write(generation(1))
    (own_state / "generations/000001.json").write_text('{"number": "x"}')
    with pytest.raises(InvarError, match=r"000001\.json"):
        generations.read_all()


@pytest.mark.parametrize(
    ("states", "now", "expected"),
    [
        ("good good good", 3, 2),
        ("good failed good", 3, 1),
        ("good good good", 1, None),
        ("good new good", 3, 1),
    ],
)
def test_rollback_goes_to_the_newest_good_one_before(states: str, now: int, expected: int | None) -> None:
    known = tuple(generation(number, found) for number, found in enumerate(states.split(), 1))  # type: ignore[arg-type]
    found = generations.previous(known, now)
    assert (found.number if found else None) == expected


@pytest.mark.parametrize(
    ("name", "left", "done"),
    [("invar-000002.efi", None, 0), ("invar-000002+3.efi", 3, 0), ("INVAR-000002+0-3.EFI", 0, 3)],
)
def test_entry_names_carry_the_tries(name: str, left: int | None, done: int) -> None:
    found = entry(name)
    assert (found.number, found.left, found.done) == (2, left, done)
    assert entry_name(2, left, done) == name.lower()


def test_other_files_are_no_entries() -> None:
    assert parse_name(Path("debian.efi")) is None
    assert parse_name(Path("invar-000002.new")) is None


def test_going_back_puts_newer_entries_to_the_end_the_newest_last() -> None:
    one, two, three = entry("invar-000001.efi"), entry("invar-000002.efi"), entry("invar-000003+2-1.efi")
    assert plan_renames((one, two, three), 1, None) == (Rename(two, 0), Rename(three, 0))
    assert plan_renames((one, two, three), 3, 3) == ()
    assert plan_renames((one, two, three), 3, None) == (Rename(three, None),)


def test_going_forward_renews_the_entry_first() -> None:
    one, two, three = entry("invar-000001.efi"), entry("invar-000002+0-1.efi"), entry("invar-000003+0-1.efi")
    assert plan_renames((one, two, three), 2, None) == (Rename(two, None),)
    assert plan_renames((one, two, three), 2, 3) == (Rename(two, 3),)
    with pytest.raises(InvarError, match="no boot entry"):
        plan_renames((one,), 4, None)


def test_every_step_of_a_change_of_target_boots_the_old_or_the_new_one() -> None:
    entries = [entry(name) for name in ("invar-000001.efi", "invar-000002.efi", "invar-000003.efi")]
    for target in (1, 2, 3):
        for source in (1, 2, 3):
            start = {
                one.number: BootEntry(one.path, one.number, 0 if one.number > source else None, 0) for one in entries
            }
            found = {_booted(start.values())}
            for step in plan_renames(tuple(start.values()), target, None):
                start[step.entry.number] = replace(step.entry, left=step.left)
                found.add(_booted(start.values()))
            assert _booted(start.values()) == target
            assert found <= {source, target}, (source, target, found)


def _booted(entries: object) -> int:
    """What systemd-boot takes: the newest of those that have tries left or need none."""
    assert hasattr(entries, "__iter__")
    return max(one.number for one in entries if one.left != 0)


def test_booted_active_and_the_last_good_one_are_never_deleted() -> None:
    known = (generation(1), generation(2, "failed"), generation(3), generation(4, "new"), generation(5))
    assert protected(known, 1, 3) == {1, 3, 5}
    gone = doomed_generations(known, Wanted(frozenset(), 1), 1, 3)
    assert [one.number for one in gone] == [2, 4]
    for number, why in ((1, "booted"), (3, "active"), (5, "last good"), (9, "no generation 9")):
        with pytest.raises(InvarError, match=why):
            doomed_generations(known, Wanted(frozenset({number}), None), 1, 3)
    assert [one.number for one in doomed_generations(known, Wanted(frozenset({4}), None), 1, 3)] == [4]


def test_gc_takes_what_failed_or_never_got_a_boot_entry() -> None:
    known = (generation(1), generation(2, "failed"), generation(3, "new", bootable=False), generation(4, "new"))
    assert [one.number for one in failed_generations(known, 1, 1)] == [2, 3]
    assert doomed_layers(known[:1], {f"config-{1:064x}", "config-unused", "packages-p"}) == ("config-unused",)


def test_who_is_told_of_changed_files() -> None:
    assert consumed(["sysctl.d/60.conf", "passwd", "systemd/system/a.service"]) == Consumed(
        commands=(("/usr/lib/systemd/systemd-sysctl",),)
    )
    assert consumed(["systemd/system.conf"]).manager
    assert consumed(["systemd/journald.conf", "dbus-1/system.d/a.conf"]) == Consumed(
        reload=("dbus.service",), restart=("systemd-journald.service",)
    )


def test_changed_files_are_found_by_content_mode_and_link(tmp_path: Path) -> None:
    for side in "ab":
        (tmp_path / side / "d").mkdir(parents=True)
        (tmp_path / side / "same").write_text("x")
        (tmp_path / side / "d/content").write_text(side)
        (tmp_path / side / "link").symlink_to(side)
        (tmp_path / side / "mode").write_text("")
    (tmp_path / "a/mode").chmod(0o600)
    (tmp_path / "b/new").write_text("")
    assert changed_files(tmp_path / "a", tmp_path / "b") == ("d/content", "link", "mode", "new")


def test_the_command_line_is_taken_apart() -> None:
    booted = parse_cmdline("invar.digest=aa invar.packages=p:s:1 invar.config=c:s:2 quiet invar.files=config\n")
    assert (booted.digest, booted.cmdline) == ("aa", "invar.packages=p:s:1 invar.config=c:s:2 quiet")
    assert booted.layers == {"packages": ("p", "s", 1), "config": ("c", "s", 2)}
    with pytest.raises(InvarError, match="not booted from an image"):
        parse_cmdline("quiet")
