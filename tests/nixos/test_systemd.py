"""systemd.*: unit files, drop-ins, links and masks below /etc/systemd/system."""

from __future__ import annotations

import re

import pytest

from invar.core.errors import InvarError


def test_a_script_becomes_a_program_in_the_store(evaluate):
    made = evaluate(
        'systemd.services.job = { description = "A job"; script = "echo done"; wantedBy = [ "multi-user.target" ]; };'
    )
    unit = made.unit("job.service")
    assert unit.startswith("[Unit]\nDescription=A job\n")
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    path = line.removeprefix("ExecStart=").strip()
    assert path.startswith("/nix/store/") and path.endswith("-unit-script-job-start")
    assert made.script(path) == "#!/bin/bash\nset -e\n\necho done\n"


def test_wanted_by_is_a_link_to_the_unit(evaluate):
    made = evaluate(
        'systemd.services.job = { script = "true"; wantedBy = [ "multi-user.target" ]; requiredBy = [ "a.service" ]; };'
    )
    assert made.link("systemd/system/multi-user.target.wants/job.service") == "/etc/systemd/system/job.service"
    assert made.link("systemd/system/a.service.requires/job.service") == "/etc/systemd/system/job.service"


def test_ordering_and_dependencies_are_directives(evaluate):
    unit = evaluate(
        """systemd.services.job = {
          script = "true";
          after = [ "a.service" "b.service" ]; before = [ "c.service" ];
          wants = [ "a.service" ]; requires = [ "b.service" ];
          bindsTo = [ "d.device" ]; partOf = [ "e.target" ]; conflicts = [ "f.service" ];
          unitConfig.ConditionPathExists = [ "/a" "!/b" ];
        };"""
    ).unit("job.service")
    for line in (
        "After=a.service b.service",
        "Before=c.service",
        "Wants=a.service",
        "Requires=b.service",
        "BindsTo=d.device",
        "PartOf=e.target",
        "Conflicts=f.service",
        "ConditionPathExists=/a",
        "ConditionPathExists=!/b",
    ):
        assert line in unit.splitlines()


def test_environment_is_quoted_and_path_names_packages_before_the_system(evaluate):
    made = evaluate(
        """systemd.services.job = {
          script = "jq ."; path = [ pkgs.jq ];
          environment = { GREETING = "say \\"hi\\""; EMPTY = null; };
        };"""
    )
    unit = made.unit("job.service")
    assert 'Environment="GREETING=say \\"hi\\""' in unit
    assert "EMPTY" not in unit
    (path,) = [line for line in unit.splitlines() if line.startswith('Environment="PATH=')]
    first, *_, last = path.split(":")
    assert "-jq-" in first and first.endswith("/bin")
    assert last == '/usr/bin"'
    assert "jq" in made.packages


def test_scripts_of_all_phases_come_before_what_service_config_adds(evaluate):
    unit = evaluate(
        """systemd.services.job = {
          script = "true"; preStart = "a"; postStart = "b"; preStop = "c"; postStop = "d"; reload = "e";
          serviceConfig.ExecStartPre = "/bin/later";
        };"""
    ).unit("job.service")
    pre = [line for line in unit.splitlines() if line.startswith("ExecStartPre=")]
    assert pre[0].endswith("-unit-script-job-pre-start") and pre[1] == "ExecStartPre=/bin/later"
    for directive, phase in (
        ("ExecStartPost", "post-start"),
        ("ExecStop", "pre-stop"),
        ("ExecStopPost", "post-stop"),
        ("ExecReload", "reload"),
    ):
        assert any(line.startswith(f"{directive}=") and line.endswith(phase) for line in unit.splitlines())


def test_start_at_makes_a_timer(evaluate):
    made = evaluate('systemd.services.job = { script = "true"; startAt = [ "daily" "Mon 12:00" ]; };')
    timer = made.unit("job.timer")
    assert "[Timer]\nOnCalendar=daily\nOnCalendar=Mon 12:00\n" in timer
    assert made.link("systemd/system/timers.target.wants/job.timer") == "/etc/systemd/system/job.timer"


def test_a_disabled_unit_is_masked(evaluate):
    made = evaluate('systemd.services.job = { enable = false; script = "true"; };')
    assert made.link("systemd/system/job.service") == "/dev/null"


def test_a_unit_of_systemd_is_extended_not_replaced(evaluate):
    made = evaluate('systemd.services.systemd-logind.serviceConfig.MemoryMax = "64M";')
    assert made.text("systemd/system/systemd-logind.service.d/overrides.conf") == "[Service]\nMemoryMax=64M\n\n"
    assert "systemd/system/systemd-logind.service" not in made.etc


def test_a_service_that_names_no_program_extends_a_package_unit(evaluate):
    made = evaluate(
        'systemd.packages = [ pkgs.redis ]; systemd.services.redis-server.wantedBy = [ "multi-user.target" ];'
    )
    assert (
        made.link("systemd/system/multi-user.target.wants/redis-server.service")
        == "/usr/lib/systemd/system/redis-server.service"
    )
    assert "systemd/system/redis-server.service" not in made.etc
    assert {"redis-server", "redis-tools"} <= made.packages


def test_an_instance_of_a_template_links_to_the_template(evaluate):
    made = evaluate('systemd.services."serial-getty@ttyS1".wantedBy = [ "getty.target" ];')
    link = made.link("systemd/system/getty.target.wants/serial-getty@ttyS1.service")
    assert link == "/usr/lib/systemd/system/serial-getty@.service"


def test_sockets_paths_targets_and_slices(evaluate):
    made = evaluate(
        """systemd.sockets.echo = { listenStreams = [ "7" "[::1]:8" ]; socketConfig.Accept = true; };
        systemd.paths.drop.pathConfig.PathExists = "/var/drop";
        systemd.targets.ready.description = "Ready";
        systemd.targets.bare = { };
        systemd.slices.batch.sliceConfig.CPUWeight = 10;"""
    )
    socket = made.unit("echo.socket")
    assert "ListenStream=7\nListenStream=[::1]:8\n" in socket and "Accept=true\n" in socket
    assert "[Path]\nPathExists=/var/drop\n" in made.unit("drop.path")
    assert "Description=Ready" in made.unit("ready.target")
    assert made.unit("bare.target") == "[Unit]\n", "an empty file would mask the unit"
    assert "[Slice]\nCPUWeight=10\n" in made.unit("batch.slice")


def test_mounts_are_named_after_their_place(evaluate):
    made = evaluate('systemd.mounts = [ { what = "/dev/sdb"; where = "/var/lib/my-data"; type = "xfs"; } ];')
    unit = made.unit("var-lib-my\\x2ddata.mount")
    assert "What=/dev/sdb\n" in unit and "Where=/var/lib/my-data\n" in unit and "Type=xfs\n" in unit


def test_changed_units_say_how_they_are_taken_up(evaluate):
    unit = evaluate(
        """systemd.services.job = {
          script = "true"; reloadIfChanged = true; stopIfChanged = false; restartTriggers = [ "v1" ];
        };"""
    ).unit("job.service")
    assert "X-ReloadIfChanged=true" in unit and "X-StopIfChanged=false" in unit
    assert re.search("X-Restart-Triggers=[0-9a-f]{64}\\n", unit)


def test_nothing_of_debian_runs_that_an_immutable_server_has_no_use_for(evaluate):
    made = evaluate("")
    for unit in (
        "apt-daily.timer",
        "man-db.timer",
        "ldconfig.service",
        "systemd-firstboot.service",
        "systemd-machine-id-commit.service",
        "getty-static.service",
    ):
        assert made.link(f"systemd/system/{unit}") == "/dev/null"
    for generator in (
        "systemd-sysv-generator",
        "postgresql-generator",
        "systemd-gpt-auto-generator",
        "systemd-fstab-generator",
    ):
        assert made.link(f"systemd/system-generators/{generator}") == "/dev/null"


def test_a_suppressed_unit_runs_when_it_is_declared(evaluate):
    made = evaluate('systemd.timers.man-db.wantedBy = [ "timers.target" ];')
    assert "systemd/system/man-db.timer" not in made.etc
    assert made.link("systemd/system/timers.target.wants/man-db.timer") == "/usr/lib/systemd/system/man-db.timer"


def test_the_machine_boots_into_multi_user(evaluate):
    made = evaluate("")
    assert made.link("systemd/system/default.target") == "/usr/lib/systemd/system/multi-user.target"


def test_script_and_exec_start_exclude_each_other(evaluate):
    with pytest.raises(InvarError, match="assertion") as failure:
        evaluate('systemd.services.job = { script = "true"; serviceConfig.ExecStart = "/bin/true"; };')
    assert "systemd.services.job has both `script` and serviceConfig.ExecStart" in str(failure.value)


def test_tmpfiles_rules_and_settings(evaluate):
    made = evaluate(
        """systemd.tmpfiles.rules = [ "d /var/lib/app 0750 root root -" ];
        systemd.tmpfiles.settings."10-app"."/var/cache/app".d = { mode = "0700"; user = "app"; };"""
    )
    assert "d /var/lib/app 0750 root root -\n" in made.text("tmpfiles.d/00-nixos.conf")
    assert made.text("tmpfiles.d/10-app.conf") == "d /var/cache/app 0700 app - -\n"


def test_homes_are_made_where_the_links_lead(evaluate):
    made = evaluate("users.users.alice.isNormalUser = true;")
    rules = made.text("tmpfiles.d/00-nixos.conf")
    assert "d /var/home/alice 700 alice users -\n" in rules
    assert "d /var/root 0700 root root -\n" in rules


def test_journald_timesyncd_and_logind_are_configured(evaluate):
    made = evaluate('services.journald.extraConfig = "SystemMaxUse=100M"; networking.timeServers = [ "192.0.2.1" ];')
    assert "Storage=persistent\n" in made.text("systemd/journald.conf")
    assert "SystemMaxUse=100M" in made.text("systemd/journald.conf")
    assert "NTP=192.0.2.1\n" in made.text("systemd/timesyncd.conf")
    assert "NAutoVTs=0\n" in made.text("systemd/logind.conf")
    assert (
        made.link("systemd/system/sysinit.target.wants/systemd-timesyncd.service")
        == "/usr/lib/systemd/system/systemd-timesyncd.service"
    )
