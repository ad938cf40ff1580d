"""Real machines: one proves what it runs to the audit; with INVAR_TEST_LONG=1 three behind the load balancer are rolled
forward, stopped at a bad canary and rolled back when finished."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from command import Done, copy_example, invar
from invar.core.home import Home
from invar.localcloud.process import control, start, stop
from invar.localcloud.record import CloudRecord

pytestmark = [pytest.mark.build, pytest.mark.boot]
long = pytest.mark.skipif(
    os.environ.get("INVAR_TEST_LONG") != "1", reason="INVAR_TEST_LONG=1: 12 machines, many minutes"
)

REGION = "us-east-1"
ONE = """{{
  fleets.web = {{
    configuration = ./configuration.nix;
    regions.{region}.zones = [ "{region}a" ];
    instanceTypes = [ "t3.micro" ];
    health.within = 1500;
  }};
}}
"""
FLEET = """{{
  fleets.web = {{
    configuration = ./configuration.nix;
    regions.{region} = {{ subnets = [ "{subnet}" ]; targetGroups = [ "{target}" ]; }};
    instanceTypes = [ "t3.micro" ];
    min = 3;
    desired = 3;
    max = 6;
    health = {{ type = "ELB"; grace = 1200; within = 1500; }};
    rollout = {{ canary = 30; pause = 30; warmUp = 60; maxHealthy = 134; }};
  }};
}}
"""


@dataclass(slots=True)
class Load:
    """Requests to the service, one after another, until it is told to end; what came back."""

    url: str
    answers: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ending.wait(0.1):
            try:
                with urllib.request.urlopen(self.url, timeout=120) as answer:
                    text = next(line for line in answer.read().decode().splitlines() if line.startswith("<p>"))
                self.answers[text] = self.answers.get(text, 0) + 1
            except (OSError, urllib.error.URLError) as error:
                self.failures.append(f"{time.time():.0f} {error}")

    def since(self) -> tuple[dict[str, int], list[str]]:
        """What came back since this was asked last."""
        taken, self.answers = self.answers, {}
        failed, self.failures = self.failures, []
        return taken, failed


@pytest.fixture
def real(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudRecord]:
    """A cloud of its own, whose machines come out of the tests' home."""
    monkeypatch.setenv("INVAR_HOME", str(home.root))
    root = tmp_path / "cloud"
    try:
        yield start(root)
    finally:
        stop(root)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "deploy"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def declare(project: Path, key: Path) -> None:
    """Let the key's owner in as deploy, and declare a file in /var that must not change."""
    configuration = project / "configuration.nix"
    lines = configuration.read_text().splitlines()
    public = key.with_suffix(".pub").read_text().strip()
    lines = [f'    openssh.authorizedKeys.keys = [ "{public}" ];' if "ssh-ed25519" in one else one for one in lines]
    lines.insert(-1, '  invar.immutable."/var/lib/model".source = ./model;')
    configuration.write_text("\n".join(lines) + "\n")
    (project / "model").mkdir()
    (project / "model" / "weights").write_text("1 2 3\n")


def by_hand(address: str, key: Path, script: str) -> None:
    """What an operator does as root, by ssh."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=30"]
    argv = ["ssh", "-i", str(key), *(word for one in options for word in ("-o", one)), f"deploy@{address}"]
    done = subprocess.run([*argv, "sudo sh -e"], input=script, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


BY_HAND = """
cp /usr/bin/sleep /tmp/stray
nohup /tmp/stray 3000 </dev/null >/dev/null 2>&1 &
systemd-run --quiet --unit=by-hand sleep 3000
echo 4 >>/var/lib/model/weights
echo 10.0.0.1 elsewhere >/run/hosts
mount --bind /run/hosts /etc/hosts
systemctl start invar-proof-console.service
"""


def test_a_machine_proves_what_it_runs_and_what_was_done_by_hand_to_the_audit(
    real: CloudRecord, repository: Path, home: Home, tmp_path: Path, key: Path
) -> None:
    control(real, "POST", "settings", {"machine_memory": 768})
    project = copy_example(repository, tmp_path / "production-web")
    declare(project, key)
    (project / "fleet.nix").write_text(ONE.format(region=REGION))

    def run(*arguments: str) -> Done:
        account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": real.url}
        return invar(*arguments, home=home, cwd=project, environment=account, seconds=1800)

    published = run("publish", ".", "--region", REGION, "--json")
    assert published.code == 0, published.err
    applied = run("fleet", "apply")
    assert applied.code == 0, applied.err
    audited = run("audit", "--json")
    assert audited.code == 0, audited.out
    [instance] = audited.json()["fleets"][0]["instances"]
    assert instance["proven"] == instance["system_digest"] == published.json()["system_digest"]
    assert instance["findings"] == []
    ec2 = boto3.client(
        "ec2", region_name=REGION, endpoint_url=real.url, aws_access_key_id="test", aws_secret_access_key="test"
    )
    [told] = ec2.describe_instances(InstanceIds=[instance["instance"]])["Reservations"][0]["Instances"]
    by_hand(told["PrivateIpAddress"], key, BY_HAND)
    audited = run("audit", "--json")
    assert audited.code == 3, audited.out
    [instance] = audited.json()["fleets"][0]["instances"]
    assert instance["proven"] == instance["system_digest"]  # the sealed system is what it was
    found = {(one["kind"], one["text"]) for one in instance["findings"]}
    assert any(kind == "process" and "/tmp/stray" in text for kind, text in found)
    assert any(kind == "process" and "by-hand.service" in text for kind, text in found)
    assert any(kind == "session" and "sshd-session" in text for kind, text in found)  # ours
    assert ("file", "/var/lib/model is not its source: weights") in found
    assert any(kind == "file" and "is covered by another mount: tmpfs of run" in text for kind, text in found)
    shown = run("audit")
    assert "file: /var/lib/model is not its source: weights" in shown.out and "1 with drift" in shown.out


@long
def test_a_fleet_of_machines_is_rolled_stopped_at_a_bad_canary_and_rolled_back(
    real: CloudRecord, repository: Path, home: Home, tmp_path: Path
) -> None:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    made: dict[str, Any] = {"region_name": REGION, "endpoint_url": real.url, **keys}
    ec2, elb = boto3.client("ec2", **made), boto3.client("elbv2", **made)
    control(real, "POST", "settings", {"machine_memory": 768})
    subnet = ec2.describe_subnets()["Subnets"][0]
    target = elb.create_target_group(
        Name="web",
        Protocol="HTTP",
        Port=80,
        VpcId=subnet["VpcId"],
        HealthCheckIntervalSeconds=5,
        HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "20"}]
    elb.modify_target_group_attributes(TargetGroupArn=target, Attributes=delay)
    balancer = elb.create_load_balancer(Name="web", Subnets=[subnet["SubnetId"]])["LoadBalancers"][0]
    forward: Any = [{"Type": "forward", "TargetGroupArn": target}]
    elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=8080, DefaultActions=forward)
    project = copy_example(repository, tmp_path / "production-web")
    (project / "fleet.nix").write_text(FLEET.format(region=REGION, subnet=subnet["SubnetId"], target=target))
    web = project / "web.nix"

    def run(*arguments: str) -> Done:
        account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": real.url}
        done = invar(*arguments, home=home, cwd=project, environment=account, seconds=5400)
        print(arguments, done.code, done.out[-4000:], done.err[-4000:])
        return done

    assert run("publish", ".", "--region", REGION).code == 0
    assert run("fleet", "apply", "-f", ".").code == 0
    load = Load(f"http://{balancer['DNSName']}:8080/")
    thread = threading.Thread(target=load.run, daemon=True)
    thread.start()
    try:
        web.write_text(web.read_text().replace("production-web answers", "the second generation answers"))
        assert run("publish", ".", "--region", REGION).code == 0
        assert run("rollout", "-f", ".").code == 0
        answers, failures = load.since()
        assert failures == [] and set(answers) == {
            "<p>production-web answers</p>",
            "<p>the second generation answers</p>",
        }
        broken = 'enable = true;\n    appendConfig = "no_such_directive;";'
        web.write_text(web.read_text().replace("enable = true;", broken, 1))
        assert run("publish", ".", "--region", REGION).code == 0
        stopped = run("rollout", "-f", ".")
        assert stopped.code == 1
        assert "generation 3 is restored" in stopped.out and "nginx" in stopped.err and "console of i-" in stopped.err
        answers, failures = load.since()
        assert failures == [] and set(answers) == {"<p>the second generation answers</p>"}
        assert run("rollback", "-f", ".").code == 0
        answers, failures = load.since()
        assert failures == [] and "<p>production-web answers</p>" in answers
        audited = run("audit", "-f", ".", "--json")
        assert audited.code == 0
        [fleet] = audited.json()["fleets"]
        assert fleet["generation"] == 4 and len(fleet["instances"]) == 3
        assert {one["proven"] for one in fleet["instances"]} == {fleet["instances"][0]["system_digest"]}
    finally:
        load.ending.set()
        thread.join()
