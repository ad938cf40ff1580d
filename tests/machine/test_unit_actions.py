"""What a switch does to units, by tables: every rule of NixOS's switch-to-configuration that applies."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from invar.machine.unit_actions import UnitActions, difference, plan_units, reversed_actions
from invar.machine.unit_files import UnitFile, UnitFiles, parse_unit, read_unit_files, template

OLD = "[Unit]\nDescription=A\n[Service]\nExecStart=/nix/store/old\n"
NEW = "[Unit]\nDescription=A\n[Service]\nExecStart=/nix/store/new\n"


def plan(
    old: dict[str, str | UnitFile],
    new: dict[str, str | UnitFile],
    running: tuple[str, ...],
    *,
    holds: tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]] = ({}, {}),
    packaged: tuple[str, ...] = (),
    dependents: dict[str, set[str]] | None = None,
) -> UnitActions:
    def files(units: dict[str, str | UnitFile], held: dict[str, frozenset[str]]) -> UnitFiles:
        return UnitFiles({name: UnitFile(one) if isinstance(one, str) else one for name, one in units.items()}, held)

    def stopped_with(names: Collection[str]) -> set[str]:
        return set().union(*((dependents or {}).get(name, set()) for name in names))

    before, after = files(old, holds[0]), files(new, holds[1])
    return plan_units(before, after, frozenset(running), lambda name: name in packaged, stopped_with)


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("a.service", OLD, OLD, UnitActions()),
        ("a.service", OLD, NEW, UnitActions(stop=("a.service",), start=("a.service",))),
        ("a.service", OLD, NEW + "X-StopIfChanged=false\n", UnitActions(restart=("a.service",))),
        ("a.service", OLD, NEW + "X-RestartIfChanged=false\n", UnitActions(skipped=("a.service",))),
        ("a.service", OLD, NEW + "X-ReloadIfChanged=true\n", UnitActions(reload=("a.service",))),
        ("a.service", OLD, NEW + "[Unit]\nRefuseManualStop=yes\n", UnitActions(skipped=("a.service",))),
        ("a.service", OLD, NEW + "[Unit]\nX-OnlyManualStart=true\n", UnitActions(skipped=("a.service",))),
        ("a.service", OLD, OLD.replace("Description=A", "Description=B"), UnitActions()),
        ("a.service", OLD, OLD + "X-StopIfChanged=false\n", UnitActions()),
        ("a.service", OLD, OLD + "[Unit]\nX-Reload-Triggers=1\n", UnitActions(reload=("a.service",))),
        (
            "a.service",
            OLD,
            OLD + "[Unit]\nX-Restart-Triggers=1\n",
            UnitActions(stop=("a.service",), start=("a.service",)),
        ),
        ("a.timer", "[Timer]\nOnCalendar=daily\n", "[Timer]\nOnCalendar=weekly\n", UnitActions(restart=("a.timer",))),
        ("a.mount", "[Mount]\nOptions=ro\n", "[Mount]\nOptions=rw\n", UnitActions(reload=("a.mount",))),
        ("a.slice", "[Slice]\nCPUWeight=1\n", "[Slice]\nCPUWeight=2\n", UnitActions()),
        ("a.path", "[Path]\nPathExists=/a\n", "[Path]\nPathExists=/b\n", UnitActions()),
        ("a.target", "[Unit]\nWants=x\n", "[Unit]\nWants=y\n", UnitActions()),
    ],
)
def test_a_running_unit_that_changed(name: str, old: str, new: str, expected: UnitActions) -> None:
    assert plan({name: old}, {name: new}, (name,)) == expected


def test_what_does_not_run_is_left_alone() -> None:
    assert plan({"a.service": OLD}, {"a.service": NEW}, ()).none


def test_a_unit_that_is_gone_is_stopped_unless_it_says_otherwise() -> None:
    assert plan({"a.service": OLD}, {}, ("a.service",)) == UnitActions(stop=("a.service",))
    stays = "[Unit]\nX-StopOnRemoval=false\n" + OLD
    assert plan({"a.service": stays}, {}, ("a.service",)).none


def test_a_masked_unit_is_stopped_and_an_unmasked_one_started() -> None:
    masked = UnitFile(masked=True)
    held = {"multi-user.target": frozenset({"a.service"})}
    running = ("a.service", "multi-user.target")
    assert plan({"a.service": OLD}, {"a.service": masked}, running) == UnitActions(stop=("a.service",))
    back = plan({"a.service": masked}, {"a.service": OLD}, ("multi-user.target",), holds=(held, held))
    assert back == UnitActions(start=("a.service",))


def test_a_dropin_that_goes_away_leaves_the_packages_unit_running() -> None:
    added = UnitFile(dropins=(("overrides.conf", "[Service]\nNice=5\n"),))
    actions = plan({"ssh.service": added}, {}, ("ssh.service",), packaged=("ssh.service",))
    assert actions == UnitActions(stop=("ssh.service",), start=("ssh.service",))


def test_a_service_behind_a_running_socket_is_started_by_it() -> None:
    running = ("a.service", "a.socket")
    units = {"a.socket": "[Socket]\nListenStream=1\n"}
    socket_first = plan({"a.service": OLD, **units}, {"a.service": NEW, **units}, running)
    assert socket_first == UnitActions(stop=("a.service", "a.socket"), start=("a.socket",))
    itself = plan({"a.service": OLD, **units}, {"a.service": NEW + "X-NotSocketActivated=true\n", **units}, running)
    assert itself == UnitActions(stop=("a.service",), start=("a.service",))


def test_only_what_is_newly_wanted_by_a_running_target_is_started() -> None:
    before = {"multi-user.target": frozenset({"old.service"})}
    after = {"multi-user.target": frozenset({"old.service", "new.service"}), "off.target": frozenset({"x.service"})}
    new = {"old.service": OLD, "new.service": NEW, "x.service": NEW}
    actions = plan({"old.service": OLD}, new, ("multi-user.target",), holds=(before, after))
    assert actions == UnitActions(start=("new.service",))


def test_an_instance_is_compared_by_its_template() -> None:
    actions = plan({"a@.service": OLD}, {"a@.service": NEW}, ("a@1.service",))
    assert actions == UnitActions(stop=("a@1.service",), start=("a@1.service",))
    assert template("a@1.service") == "a@.service"
    assert template("a@.service") is None


def test_the_way_back_starts_what_the_way_there_had_stopped() -> None:
    done = UnitActions(stop=("a.service",), restart=("b.service",))
    back = reversed_actions(done, UnitActions(restart=("b.service",)))
    assert back == UnitActions(restart=("b.service",), start=("a.service",))


def test_difference_knows_a_new_link() -> None:
    assert difference(UnitFile(link="/a"), UnitFile(link="/b")) == "restart"


def test_unit_files_are_read_as_systemd_has_them(tmp_path: Path) -> None:
    units = tmp_path / "systemd/system"
    (units / "a.service.d").mkdir(parents=True)
    (units / "a.service.d/overrides.conf").write_text("[Service]\nNice=5\n")
    (units / "b.service").write_text("# no\n[Service]\nExecStart=\nExecStart=/x \\\n  -y\n")
    (units / "c.service").symlink_to("/dev/null")
    (units / "multi-user.target.wants").mkdir()
    (units / "multi-user.target.wants/b.service").symlink_to("../b.service")
    found = read_unit_files(tmp_path)
    assert found.units["a.service"].sections() == {"Service": {"Nice": ("5",)}}
    assert found.units["b.service"].sections() == {"Service": {"ExecStart": ("/x    -y",)}} or found.units[
        "b.service"
    ].sections() == {"Service": {"ExecStart": ("/x  -y",)}}
    assert found.units["c.service"].masked
    assert found.holds == {"multi-user.target": frozenset({"b.service"})}
    assert parse_unit("[A]\nk=1\nk=2\nk=\nk=3\n") == {"A": {"k": ("3",)}}


def test_what_a_stop_takes_along_is_started_again() -> None:
    """As local-fs.target, which requires its mounts, and a service that requires another which has changed."""
    dependents = {"a.service": {"local-fs.target", "b.service", "c.service", "gone.service", "idle.service", "d.scope"}}
    running = ("a.service", "local-fs.target", "b.service", "c.service", "gone.service", "d.scope")
    changing = "[Service]\nExecStart={}\nX-StopIfChanged=false\n"
    actions = plan(
        {"a.service": OLD, "b.service": OLD, "c.service": changing.format("/old"), "gone.service": OLD},
        {"a.service": NEW, "b.service": OLD, "c.service": changing.format("/new"), "idle.service": OLD},
        running,
        packaged=("local-fs.target",),
        dependents=dependents,
    )
    assert actions == UnitActions(
        stop=("a.service", "gone.service"),
        start=("a.service",),
        stopped_with=("b.service", "c.service", "local-fs.target"),
    )


def test_the_way_back_starts_what_the_way_there_took_along() -> None:
    back = reversed_actions(
        UnitActions(stop=("a.mount", "b.service"), stopped_with=("local-fs.target", "c.service")),
        UnitActions(stop=("d.service",), restart=("c.service",), stopped_with=("e.service",)),
    )
    assert back == UnitActions(
        stop=("d.service",),
        restart=("c.service",),
        start=("a.mount", "b.service"),
        stopped_with=("e.service", "local-fs.target"),
    )
