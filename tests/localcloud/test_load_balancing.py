"""Target groups and load balancers: probes, health, draining, and requests that really arrive."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from invar.localcloud.balancer import Listener
from invar.localcloud.target_registry import Check, Target, judged
from localcloud.fleet_fixtures import Bench

CHECK = Check("HTTP", None, "/", 10, 5, rise=3, fall=2, codes="200")


@pytest.fixture
def balanced(bench: Bench) -> str:
    """A target group behind a listener; its ARN."""
    subnets = [one["SubnetId"] for one in bench.ec2.describe_subnets()["Subnets"]]
    vpc = bench.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    arn: str = bench.elbv2.create_target_group(
        Name="web", Protocol="HTTP", Port=80, VpcId=vpc, HealthCheckIntervalSeconds=10, HealthyThresholdCount=2
    )["TargetGroups"][0]["TargetGroupArn"]
    bench.elbv2.modify_target_group_attributes(
        TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "60"}]
    )
    made = bench.elbv2.create_load_balancer(Name="web", Subnets=subnets[:2])["LoadBalancers"][0]
    assert made["DNSName"].startswith("127.31.")
    bench.elbv2.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="HTTP",
        Port=8080,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    return arn


@pytest.mark.parametrize(
    ("state", "streak", "passed", "outcome"),
    [
        ("initial", 0, True, "healthy"),
        ("initial", 0, False, "initial"),
        ("initial", -1, False, "unhealthy"),
        ("healthy", 5, False, "healthy"),
        ("healthy", -1, False, "unhealthy"),
        ("unhealthy", -2, True, "unhealthy"),
        ("unhealthy", 2, True, "healthy"),
    ],
)
def test_probes_are_counted(state: Any, streak: int, passed: bool, outcome: str) -> None:
    assert judged(Target("i", 80, state, streak=streak), passed, CHECK)[0] == outcome


def test_a_group_registers_watches_and_drains(bench: Bench, balanced: str) -> None:
    bench.create(size=2, TargetGroupARNs=[balanced], HealthCheckType="ELB", HealthCheckGracePeriod=50)
    assert set(health(bench, balanced).values()) == {"healthy"}
    victim = bench.members()[0]["InstanceId"]
    bench.control("POST", "behave", {"instance": victim, "behaviour": {"unhealthy_after": 0}})
    bench.wait(25)
    states = {one["InstanceId"]: one["LifecycleState"] for one in bench.members()}
    assert states[victim] == "Terminating"
    assert health(bench, balanced)[victim] == "draining"
    bench.wait(90)
    assert victim not in health(bench, balanced)
    assert list(health(bench, balanced).values()) == ["healthy", "healthy"]


def test_a_refresh_never_leaves_the_balancer_without_healthy_targets(bench: Bench, balanced: str) -> None:
    bench.create(size=3, TargetGroupARNs=[balanced], HealthCheckType="ELB", HealthCheckGracePeriod=120)
    bench.refresh(MaxHealthyPercentage=150, InstanceWarmup=60)
    while bench.newest()["Status"] != "Successful":
        bench.wait(5)
        assert list(health(bench, balanced).values()).count("healthy") >= 3
    assert bench.versions() == {"2": 3}


def test_health_of_what_is_not_there(bench: Bench, balanced: str) -> None:
    shown = bench.elbv2.describe_target_health(TargetGroupArn=balanced, Targets=[{"Id": "i-01234567"}])
    assert shown["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"] == "Target.NotRegistered"


@pytest.fixture
def servers() -> Iterator[Callable[[str], tuple[str, int]]]:
    """Makes servers on loopback that answer with their name."""
    made = []

    def make(name: str) -> tuple[str, int]:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, format: str, *args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        made.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return "127.0.0.1", server.server_port

    yield make
    for server in made:
        server.shutdown()
        server.server_close()


def test_the_balancer_goes_round_and_says_what_fails(servers: Callable[[str], tuple[str, int]]) -> None:
    targets = [servers("one"), servers("two")]
    listener = Listener("127.0.0.1", 0, lambda: list(targets))
    url = f"http://127.0.0.1:{listener.port}/"
    try:
        bodies = [urllib.request.urlopen(url, timeout=10).read().decode() for _ in range(4)]
        assert sorted(bodies) == ["one", "one", "two", "two"]
        targets[:] = [("127.0.0.1", 1)]
        assert status(url) == 502
        targets.clear()
        assert status(url) == 503
    finally:
        listener.close()


def status(url: str) -> int:
    try:
        return int(urllib.request.urlopen(url, timeout=10).status)
    except urllib.error.HTTPError as error:
        return error.code


def health(bench: Bench, arn: str) -> dict[str, str]:
    found = bench.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in found}
