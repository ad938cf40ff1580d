"""`invar plan` beside what it foretells: a build, and a publish to a local cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cloud_fixtures import cloud_root, record, running
from command import copy_example, invar, succeed
from invar.core.home import Home
from invar.localcloud.process import control
from invar.localcloud.record import CloudRecord

__all__ = ["cloud_root", "record", "running"]
pytestmark = pytest.mark.build


@pytest.fixture
def project(repository: Path, home: Home, tmp_path: Path) -> Path:
    """The example, locked, where no earlier run can have built: the home outlives temporary directories."""
    project = copy_example(repository, tmp_path / uuid4().hex / "web")
    succeed("lock", project, home=home)
    return project


def open_a_port(project: Path) -> None:
    """Change one line."""
    web = project / "web.nix"
    web.write_text(web.read_text().replace("allowedTCPPorts = [ 80 ]", "allowedTCPPorts = [ 80 443 ]"))


def test_without_a_cloud_the_last_build_is_what_counts(project: Path, home: Home) -> None:
    first = invar("plan", project, "--offline", "--json", home=home)
    assert first.code == 3
    assert first.json()["comparison"] is None
    succeed("build", project, home=home)
    same = succeed("plan", project, "--offline", home=home)
    assert "nothing would change" in same.out
    open_a_port(project)
    for _ in range(2):
        changed = invar("plan", project, "--offline", home=home)
        assert changed.code == 3
        assert "~ networking.firewall.allowedTCPPorts  + 443" in changed.out


def test_a_plan_tells_what_publish_then_does(
    project: Path, home: Home, record: CloudRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    to = ("--endpoint-url", record.url, "--region", "eu-west-1,us-east-1", "--json")
    first = invar("plan", project, *to, home=home)
    assert first.code == 3
    assert [one["action"] for one in first.json()["regions"]] == ["upload", "copy"]
    published = succeed("publish", project, *to, home=home).json()
    assert published["uploaded"]["blocks_sent"] == first.json()["regions"][0]["blocks"]
    again = succeed("plan", project, *to, home=home).json()
    assert not again["changes"]
    assert {one["region"]: one["image"] for one in again["regions"]} == published["images"]
    open_a_port(project)
    changed = invar("plan", project, *to, home=home)
    assert changed.code == 3
    found = changed.json()
    assert found["generation"] == {"before": 1, "after": 2}
    assert [one["path"] for one in found["comparison"]["options"]] == ["networking.firewall.allowedTCPPorts"]
    assert found["regions"][0]["parent"] == published["snapshots"]["eu-west-1"]
    assert 0 < found["regions"][0]["blocks"] == found["comparison"]["image"]["changed_blocks"] < 20
    assert found["fleets"] == []
    ami = published["images"]["us-east-1"]
    diff = succeed("diff", ami, project, *to, home=home).json()
    assert [one["path"] for one in diff["options"]] == ["networking.firewall.allowedTCPPorts"]


FLEETS = """{{
  fleets.web = {{
    configuration = ./configuration.nix;
    regions.eu-west-1.zones = [ "eu-west-1a" ];
    regions.us-east-1.zones = [ "us-east-1a" ];
    min = 2;
    max = {most};
    parameters.role = "{role}";
  }};
  fleets.other = {{ configuration = "another"; regions.eu-west-1.zones = [ "eu-west-1a" ]; }};
}}
"""


def test_a_plan_tells_what_a_rollout_and_fleet_apply_then_do(
    project: Path, home: Home, record: CloudRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    quick = {"instance_kind": "simulated", "pending_seconds": 0.2, "boot_seconds": 0.5, "shutdown_seconds": 0.2}
    control(record, "POST", "settings", {**quick, "real_ports": 0})
    there = ("--endpoint-url", record.url)
    to = (*there, "--region", "eu-west-1,us-east-1", "--json")

    def write(most: int = 6, role: str = "web") -> None:
        (project / "fleet.nix").write_text(FLEETS.format(most=most, role=role))

    def planned(code: int = 3, *more: str) -> dict[str, Any]:
        done = invar("plan", project, *to, *more, home=home)
        assert done.code == code, done.err
        [fleet] = done.json()["fleets"]
        assert fleet["fleet"] == "web"
        return dict(fleet)

    write()
    fleet = planned()
    assert (fleet["generation"], fleet["rolls"]) == (None, False)
    assert fleet["groups"] == {"eu-west-1": "create", "us-east-1": "create"}
    succeed("publish", project, *to, home=home)
    succeed("fleet", "apply", "-f", project, "--fleet", "web", *there, home=home)
    assert planned(0)["generation"] == 1
    assert planned(3, "--no-build")["rolls"]  # what is not built is planned as if it were new

    write(most=9)
    fleet = planned()
    assert fleet["settings"] == {region: {"MaxSize": [6, 9]} for region in ("eu-west-1", "us-east-1")}
    assert not fleet["rolls"]
    succeed("fleet", "apply", "-f", project, "--fleet", "web", *there, home=home)
    assert planned(0)["groups"] == {}

    write(most=9, role="api")
    fleet = planned()
    assert fleet["rolls"] and fleet["launch"] == ["eu-west-1", "us-east-1"]

    write(most=9)
    open_a_port(project)
    fleet = planned()
    assert fleet["rolls"] and fleet["launch"] == []
    assert fleet["instances"] == {"eu-west-1": 2, "us-east-1": 2}
    shown = invar("plan", project, *to[:-1], home=home)
    assert "web  generation 1: a rollout replaces 2 in eu-west-1, 2 in us-east-1" in shown.out

    (project / "fleet.nix").write_text("{ fleets.web = {\n  min = true; }; }\n")
    refused = invar("plan", project, *to, home=home)
    assert refused.code == 1 and "fleet.nix:2" in refused.err and "unsigned integer" in refused.err
