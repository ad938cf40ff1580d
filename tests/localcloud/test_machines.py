"""The example, published into the local cloud and launched there: a real machine at its private address."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from command import copy_example, invar
from invar.core.home import Home
from invar.localcloud.process import control, start, stop
from invar.localcloud.record import CloudRecord

pytestmark = [pytest.mark.build, pytest.mark.boot]

ClientFor = Callable[[CloudRecord], Callable[..., Any]]
USER_DATA = "#!/bin/sh\n# seen inside\n"
BOOT_SECONDS = 420


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "deploy"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def real(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudRecord]:
    """A cloud of its own, whose machines come out of the tests' home."""
    root = tmp_path_factory.mktemp("real-cloud")
    before = os.environ.get("INVAR_HOME")
    os.environ["INVAR_HOME"] = str(home.root)
    try:
        yield start(root)
    finally:
        stop(root)
        if before is None:
            del os.environ["INVAR_HOME"]
        else:
            os.environ["INVAR_HOME"] = before


@pytest.fixture(scope="module")
def published(real: CloudRecord, repository: Path, home: Home, key: Path, tmp_path_factory: Any) -> dict[str, Any]:
    """The example with deploy's key changed to ours, as an AMI."""
    project = copy_example(repository, tmp_path_factory.mktemp("cloud") / "production-web")
    configuration = project / "configuration.nix"
    old = next(line for line in configuration.read_text().splitlines() if "ssh-ed25519" in line)
    public = key.with_suffix(".pub").read_text().strip()
    new = f'    openssh.authorizedKeys.keys = [ "{public}" ];'
    configuration.write_text(configuration.read_text().replace(old, new))
    account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": real.url}
    done = invar("publish", project, "--region", "us-east-1", "--json", home=home, environment=account)
    assert done.code == 0, done.err
    result: dict[str, Any] = done.json()
    return result


def test_an_instance_is_a_machine_at_its_private_address(
    real: CloudRecord, client_for: ClientFor, published: dict[str, Any], key: Path
) -> None:
    ec2 = client_for(real)("ec2")
    images = ec2.describe_images(Owners=["self"])["Images"]
    made = ec2.run_instances(
        ImageId=images[0]["ImageId"],
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        UserData=USER_DATA,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "one"}]}],
    )["Instances"][0]
    identity, address = made["InstanceId"], made["PrivateIpAddress"]
    try:
        body = eventually(lambda: urllib.request.urlopen(f"http://{address}/", timeout=20).read().decode())
        assert "production-web answers" in body
        seen = eventually(lambda: inside(key, address, metadata_command("user-data")))
        assert seen == USER_DATA
        assert inside(key, address, metadata_command("meta-data/instance-id")) == identity
        console = ec2.get_console_output(InstanceId=identity)["Output"]
        assert "login:" in console
        status = eventually(lambda: passed(ec2, identity))
        assert status["InstanceState"]["Name"] == "running"
    finally:
        ec2.terminate_instances(InstanceIds=[identity])
    eventually(lambda: terminated(ec2, identity))
    [told] = [one for one in control(real, "GET", "state")["instances"] if one["id"] == identity]
    assert told["state"] == "terminated"
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://{address}/", timeout=5)


def eventually(look: Callable[[], Any]) -> Any:
    """What `look` returns once it neither raises nor returns nothing."""
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        try:
            found = look()
            if found:
                return found
        except (OSError, AssertionError) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {BOOT_SECONDS} s") from error
        assert time.monotonic() < deadline, f"not within {BOOT_SECONDS} s"
        time.sleep(1)


def inside(key: Path, address: str, command: str) -> str:
    """What a command run as deploy prints."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=30"]
    argv = ["ssh", "-i", str(key), *(word for one in options for word in ("-o", one)), f"deploy@{address}", command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def metadata_command(path: str) -> str:
    """Reads from the metadata service by its IMDSv2."""
    return (
        "python3 -c \"import urllib.request as u; b='http://169.254.169.254/latest/';"
        "t=u.urlopen(u.Request(b+'api/token',method='PUT',headers={'x-aws-ec2-metadata-token-ttl-seconds':'60'})).read();"
        f"print(u.urlopen(u.Request(b+'{path}',headers={{'x-aws-ec2-metadata-token':t.decode()}})).read().decode(),end='')\""
    )


def passed(ec2: Any, identity: str) -> Any:
    found = ec2.describe_instance_status(InstanceIds=[identity])["InstanceStatuses"]
    return found[0] if found and found[0]["InstanceStatus"]["Status"] == "ok" else None


def terminated(ec2: Any, identity: str) -> bool:
    found = ec2.describe_instances(InstanceIds=[identity])["Reservations"][0]["Instances"][0]
    return bool(found["State"]["Name"] == "terminated")


@pytest.mark.skipif(os.environ.get("INVAR_TEST_LONG") != "1", reason="INVAR_TEST_LONG=1: six machines, many minutes")
def test_a_group_of_machines_is_refreshed_without_a_failed_request(
    real: CloudRecord, client_for: ClientFor, published: dict[str, Any]
) -> None:
    client = client_for(real)
    ec2, elb, groups = client("ec2"), client("elbv2"), client("autoscaling")
    control(real, "POST", "settings", {"machine_memory": 1024})
    image = ec2.describe_images(Owners=["self"])["Images"][0]["ImageId"]
    zone = ec2.describe_subnets()["Subnets"][0]
    target = elb.create_target_group(
        Name="web", Protocol="HTTP", Port=80, VpcId=zone["VpcId"], HealthCheckIntervalSeconds=5, HealthyThresholdCount=2
    )["TargetGroups"][0]["TargetGroupArn"]
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "10"}]
    elb.modify_target_group_attributes(TargetGroupArn=target, Attributes=delay)
    balancer = elb.create_load_balancer(Name="web", Subnets=[zone["SubnetId"]])["LoadBalancers"][0]
    forward = [{"Type": "forward", "TargetGroupArn": target}]
    elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=8080, DefaultActions=forward)
    data = {"ImageId": image, "InstanceType": "t3.micro"}
    template = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)["LaunchTemplate"]
    identity = template["LaunchTemplateId"]
    ec2.create_launch_template_version(LaunchTemplateId=identity, SourceVersion="1", LaunchTemplateData=data)
    groups.create_auto_scaling_group(
        AutoScalingGroupName="web",
        LaunchTemplate={"LaunchTemplateId": identity, "Version": "1"},
        MinSize=3,
        MaxSize=6,
        VPCZoneIdentifier=zone["SubnetId"],
        TargetGroupARNs=[target],
        HealthCheckType="ELB",
        HealthCheckGracePeriod=BOOT_SECONDS,
    )
    try:
        eventually(lambda: healthy(elb, target) == 3)
        groups.start_instance_refresh(
            AutoScalingGroupName="web",
            DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateId": identity, "Version": "2"}},
            Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 134, "InstanceWarmup": 120},
        )
        answered, deadline = 0, time.monotonic() + 3 * BOOT_SECONDS
        while True:
            with urllib.request.urlopen(f"http://{balancer['DNSName']}:8080/", timeout=60) as answer:
                assert answer.status == 200
            answered += 1
            [shown] = groups.describe_instance_refreshes(AutoScalingGroupName="web")["InstanceRefreshes"]
            if shown["Status"] == "Successful":
                break
            assert shown["Status"] in ("Pending", "InProgress") and time.monotonic() < deadline, shown
        [group] = groups.describe_auto_scaling_groups()["AutoScalingGroups"]
        assert [one["LaunchTemplate"]["Version"] for one in group["Instances"]] == ["2"] * 3
        assert answered > 100
    finally:
        groups.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)


def healthy(elb: Any, arn: str) -> int:
    found = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return sum(one["TargetHealth"]["State"] == "healthy" for one in found)
