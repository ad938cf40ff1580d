"""An instance with a role, booted: a published system out of a bucket, and a secret out of SSM, by signed requests.

S3 and SSM are moto's, which verifies every signature and enforces the role's policy. Beside that: what needs an
instance with tags and a larger disk than its image's.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from command import invar, succeed
from invar.cli.context import Session
from invar.cli.launch import launchable
from invar.core.events import Report
from invar.core.home import Home
from invar.system.user_data import generation_document
from invar.vm.machine import start
from invar.vm.metadata import Instance
from invar.vm.qemu import GUEST_ADDRESS
from machine.booted import CPUS, Node
from machine.s3_server import BUCKET, S3Server

pytestmark = [pytest.mark.build, pytest.mark.boot]

HERE = Path(__file__).parent
HOST = "169.255.0.1"
"""This computer, as the machine sees it."""
PREFIX = "caches/a b+c"
VALUE = "correct horse battery staple"
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "ssm:GetParameter"], "Resource": "*"}],
    }
)
ASKING = """{ pkgs, ... }:
{
  imports = [ ./configuration.nix ];
  invar.cache.url = [ "s3://BUCKET/PREFIX" ];
  invar.cache.s3Endpoint = "http://HOST:S3";
  invar.secretsEndpoint.ssm = "http://HOST:AWS/";
  invar.secrets.database = {
    ssm = "/production/database";
    services = [ "consumer" ];
  };
  systemd.services.consumer = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      DynamicUser = true;
      ExecStart = "/bin/sh -c 'sha256sum <$CREDENTIALS_DIRECTORY/database'";
    };
  };
}
"""
PUBLISHED = """{
  imports = [ ./asking.nix ];
  invar.parameters.role = "published";
}
"""


@dataclass(frozen=True)
class Served:
    """The machine, S3, and the digest of the system in the bucket that its user data points to."""

    node: Node
    s3: S3Server
    digest: str


@pytest.fixture(scope="module")
def served(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("role")
    project = shutil.copytree(HERE / "node", directory / "node")
    with S3Server() as s3:
        text = ASKING.replace("BUCKET", BUCKET).replace("PREFIX", PREFIX)
        text = text.replace("HOST", HOST).replace("S3", str(s3.port)).replace("AWS", str(s3.aws_port))
        (project / "asking.nix").write_text(text)
        (project / "published.nix").write_text(PUBLISHED)
        exported = succeed(
            "cache", "export", directory / "cache", project / "published.nix", "--json", home=home
        ).json()
        for file in sorted((directory / "cache").rglob("*")):
            if file.is_file():
                s3.put(f"{PREFIX}/{file.relative_to(directory / 'cache')}", file.read_bytes())
        s3.put_parameter("/production/database", VALUE)
        role = s3.assume("web", POLICY)
        s3.lock()
        node = started(home, project / "asking.nix", role, generation_document(exported["system_digest"]))
        try:
            node.await_user_data()
            yield Served(node, s3, exported["system_digest"])
        finally:
            node.hang_up()
            invar("stop", "--force", node.name, home=home)


def started(home: Home, configuration: Path, role: dict[str, str], user_data: bytes) -> Node:
    """`invar run`, with what that has no options for."""
    session, report = Session(home, (), quiet=True, show_trace=False), Report()
    launch = launchable(session, report, configuration, "role-test", 1024, CPUS, (80,), None, session.engines(report))
    instance = Instance(
        instance_id="i-0123456789abcdef0",
        image_id="ami-0123456789abcdef0",
        local_ipv4=GUEST_ADDRESS,
        mac="02:00:00:00:00:01",
        public_keys=launch.spec.public_keys,
        user_data=user_data,
        tags={"Name": "web", "team": "front end"},
        role_credentials=role,
    )
    spec = replace(launch.spec, instance=instance, disk_size=5 << 30)
    machine = start(spec, launch.equipment.qemu, home, report)
    launch.remember(machine)
    return Node(machine.name, home)


def test_a_published_system_comes_out_of_a_bucket_of_another_region(served: Served) -> None:
    proof = served.node.proof()
    assert (proof.active_digest, proof.refused) == (served.digest, None), served.node.console()[-3000:]
    assert served.node.page() == "role published"
    statuses = [status for *_, status in served.s3.behaviour.asked]
    assert statuses[0] == 301 and set(statuses[1:]) == {200}


def test_what_a_bucket_has_not_is_told_by_s3s_code(served: Served) -> None:
    done = served.node.run(f"invar switch --generation {'0' * 64}")
    assert done.code == 1 and f"s3://{BUCKET}/{PREFIX}: NoSuchKey" in done.err
    assert "Traceback" not in done.err and "Signature" not in done.err


def test_a_secret_reaches_its_service_and_nobody_else(served: Served) -> None:
    node = served.node
    assert node.run("cat /run/invar/secrets/database").out == VALUE
    assert node.run("stat -c '%a %U' /run/invar/secrets /run/invar/secrets/database").out.split() == [
        *("700", "root"),
        *("400", "root"),
    ]
    assert node.run("runuser -u nobody cat /run/invar/secrets/database").code != 0
    assert hashlib.sha256(VALUE.encode()).hexdigest() in node.run("journalctl -u consumer -o cat").out
    assert node.run(f"journalctl -o cat | grep -c '{VALUE}'").out.strip() == "0"
    assert node.run(f"grep -rl '{VALUE}' /etc /nix /usr/lib/invar /var 2>/dev/null").out == ""
    assert VALUE not in node.console()


def test_tags_are_where_services_of_root_find_them(served: Served) -> None:
    assert json.loads(served.node.run("cat /run/ec2-metadata/tags.json").out) == {"Name": "web", "team": "front end"}


def test_var_is_as_large_as_the_disk_lets_it(served: Served) -> None:
    size = int(served.node.run("df --output=size -B1M /var | tail -1").out)
    assert size > 3500, served.node.run("df -h; journalctl -b -o cat -u growpart").out


def test_nobody_logs_in_by_password_and_one_terminal_has_a_login(served: Served) -> None:
    node = served.node
    gettys = node.run("systemctl list-units --state=active --plain --no-legend '*getty*.service' 'autovt*'").out
    assert [line.split()[0] for line in gettys.splitlines()] == ["serial-getty@ttyS0.service"]
    effective = node.run("sshd -T").out.splitlines()
    for line in ("passwordauthentication no", "kbdinteractiveauthentication no", "permitemptypasswords no"):
        assert line in effective
    assert node.run("getent shadow root").out.split(":")[1] in ("*", "!", "!*")
