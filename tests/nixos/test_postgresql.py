"""services.postgresql: a cluster made at first boot, configured from the image."""

from __future__ import annotations

import pytest

from invar.core.errors import InvarError


def start_script(made, unit):
    (line,) = [line for line in made.unit(unit).splitlines() if line.startswith("ExecStart=")]
    return made.script(line.removeprefix("ExecStart=").strip())


def test_the_cluster_is_made_once_before_the_server(evaluate):
    made = evaluate("services.postgresql.enable = true;")
    initdb = made.unit("postgresql-initdb.service")
    assert "ConditionPathExists=!/var/lib/postgresql/17/PG_VERSION" in initdb
    assert "Before=postgresql.service" in initdb
    script = start_script(made, "postgresql-initdb.service")
    assert "/usr/lib/postgresql/17/bin/initdb" in script
    assert script.rindex("mv ") > script.index("initdb"), "the cluster appears under its name when it is whole"
    assert "Requires=postgresql-initdb.service" in made.unit("postgresql.service")


def test_the_server_is_debian_s_with_the_image_s_configuration(evaluate):
    made = evaluate(
        'services.postgresql = { enable = true; settings.work_mem = "8MB"; settings.log_connections = true; };'
    )
    unit = made.unit("postgresql.service")
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert line.startswith("ExecStart=/usr/lib/postgresql/17/bin/postgres -c config_file=/nix/store/")
    text = made.script(line.split("config_file=")[1].strip())
    for setting in (
        "work_mem = '8MB'",
        "log_connections = yes",
        "port = 5432",
        "unix_socket_directories = '/run/postgresql'",
        "listen_addresses = 'localhost'",
    ):
        assert setting in text.splitlines()
    for directive in ("User=postgres", "Type=notify", "KillSignal=SIGINT", "RuntimeDirectory=postgresql"):
        assert directive in unit.splitlines()
    assert {"postgresql-17", "postgresql-client-17"} <= made.packages
    assert (
        made.link("systemd/system/multi-user.target.wants/postgresql.target") == "/etc/systemd/system/postgresql.target"
    )


def test_authentication_of_the_user_comes_before_the_default(evaluate):
    made = evaluate(
        'services.postgresql = { enable = true; authentication = "host app app 10.0.0.0/8 scram-sha-256"; };'
    )
    text = made.script(made.get("services.postgresql.settings.hba_file"))
    assert text.index("host app app") < text.index("local all all              peer")


def test_databases_and_roles_are_made_where_they_are_missing(evaluate):
    made = evaluate(
        """services.postgresql = {
          enable = true; ensureDatabases = [ "app" ];
          ensureUsers = [ { name = "app"; ensureDBOwnership = true; ensureClauses.createdb = true; } ];
        };"""
    )
    script = start_script(made, "postgresql-setup.service")
    assert 'CREATE DATABASE "app"' in script
    assert 'ALTER DATABASE "app" OWNER TO "app"' in script
    assert 'ALTER ROLE "app" createdb' in script


def test_names_are_quoted_for_sql(evaluate):
    script = start_script(
        evaluate('services.postgresql = { enable = true; ensureDatabases = [ "it\'s" ]; };'), "postgresql-setup.service"
    )
    assert "it'\\''s" in script and "datname = '\\''it'\\'''\\''s'\\''" in script


def test_an_owner_needs_a_database(evaluate):
    with pytest.raises(InvarError) as failure:
        evaluate(
            'services.postgresql = { enable = true; ensureUsers = [ { name = "app"; ensureDBOwnership = true; } ]; };'
        )
    assert "ensureDatabases" in str(failure.value)
