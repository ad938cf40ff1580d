"""Full life cycles with the real terraform: an image from its first plan to its end, and each way that can go wrong."""

from __future__ import annotations

import re
import shutil
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from invar import __version__
from invar.aws.client import Cloud
from invar.aws.images import find_images
from invar.localcloud.process import control
from invar.localcloud.record import CloudRecord
from terraform.conftest import Project

pytestmark = pytest.mark.build

REGIONS = ("eu-west-1", "us-east-1")


def image(web: Path, *, more: str = "", regions: tuple[str, ...] = REGIONS) -> str:
    """A project with one image."""
    listed = ", ".join(f'"{region}"' for region in regions)
    return f"""
resource "invar_image" "web" {{
  configuration = "{web}"
  regions       = [{listed}]
  {more}
}}
"""


def rename(web: Path, name: str) -> None:
    """Change one line of the configuration."""
    path = web / "web.nix"
    changed = re.sub(r'greeting = ".*"', f'greeting = "{name} answers"', path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)


@pytest.fixture
def cloud(environment: dict[str, str]) -> Cloud:
    return Cloud(endpoint_url=environment["AWS_ENDPOINT_URL"], keys=("test", "test"), region="us-east-1")


def test_an_image_is_planned_made_changed_found_imported_and_destroyed(
    make_project: Callable[[str], Project], web: Path, cloud: Cloud
) -> None:
    project = make_project(image(web, more='on_destroy = "delete"'))
    change = project.plan()["resource_changes"][0]["change"]
    digest = change["after"]["system_digest"]
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert change["actions"] == ["create"] and change["after_unknown"]["amis"] is True
    project.succeed("apply", "plan.bin")
    first = project.state()["invar_image.web"]
    assert first["system_digest"] == digest and sorted(first["amis"]) == sorted(REGIONS)
    assert "No changes" in project.succeed("plan")

    rename(web, "second")
    change = project.plan()["resource_changes"][0]["change"]
    assert change["actions"] == ["update"] and change["after"]["system_digest"] != digest
    project.succeed("apply", "plan.bin")
    second = project.state()["invar_image.web"]
    assert second["generation"] == first["generation"] + 1
    for region in REGIONS:
        there = {each.id for each in find_images(cloud, region, tags={})}
        assert {first["amis"][region], second["amis"][region]} <= there

    project.write(
        image(web, more='on_destroy = "delete"')
        + f"""
data "invar_image" "first" {{
  name       = "{first["name"]}"
  regions    = ["us-east-1"]
  generation = {first["generation"]}
}}
"""
    )
    project.succeed("apply", "-auto-approve")
    assert project.state()["data.invar_image.first"]["amis"] == {"us-east-1": first["amis"]["us-east-1"]}

    project.succeed("state", "rm", "invar_image.web")
    project.succeed("import", "invar_image.web", f"{second['name']}:{digest_of(second)}:{','.join(REGIONS)}")
    assert project.state()["invar_image.web"]["amis"] == second["amis"]
    project.succeed("apply", "-auto-approve")
    assert project.state()["invar_image.web"]["amis"] == second["amis"]

    project.write(image(web))
    [change] = [each["change"] for each in project.plan()["resource_changes"]]
    assert change["actions"] == ["update"] and change["after"]["on_destroy"] == "retain"
    assert change["after"]["amis"] == second["amis"]
    project.write(image(web, more='on_destroy = "delete"'))

    project.succeed("destroy", "-auto-approve")
    for region in REGIONS:
        there = {each.id for each in find_images(cloud, region, tags={})}
        assert second["amis"][region] not in there and first["amis"][region] in there


def digest_of(values: dict[str, object]) -> str:
    digest = values["system_digest"]
    assert isinstance(digest, str)
    return digest


def test_a_deleted_image_is_made_again(make_project: Callable[[str], Project], web: Path, cloud: Cloud) -> None:
    project = make_project(image(web))
    project.succeed("apply", "-auto-approve")
    before = project.state()["invar_image.web"]["amis"]
    cloud.ec2("eu-west-1").deregister_image(ImageId=before["eu-west-1"])
    change = project.plan()["resource_changes"][0]["change"]
    assert change["actions"] == ["update"]
    project.succeed("apply", "plan.bin")
    after = project.state()["invar_image.web"]["amis"]
    assert after["us-east-1"] == before["us-east-1"] and after["eu-west-1"] != before["eu-west-1"]


def test_a_failing_apply_keeps_the_old_images_and_says_where(
    make_project: Callable[[str], Project], web: Path, cloud_record: CloudRecord
) -> None:
    project = make_project(image(web))
    project.succeed("apply", "-auto-approve")
    before = project.state()["invar_image.web"]
    rename(web, "failing")
    fault = {"operation": "CopyImage", "action": "error", "code": "UnauthorizedOperation", "status": 403, "times": None}
    control(cloud_record, "POST", "faults", fault)
    try:
        failed = project.run("apply", "-auto-approve")
    finally:
        control(cloud_record, "DELETE", "faults")
    assert failed.code == 1
    assert "UnauthorizedOperation" in failed.text and "ec2:CopyImage" in failed.text and "log:" in failed.text
    assert project.state()["invar_image.web"] == before
    project.succeed("apply", "-auto-approve")
    after = project.state()["invar_image.web"]
    assert sorted(after["amis"]) == sorted(REGIONS) and after["generation"] > before["generation"]


def test_ctrl_c_ends_at_once_keeps_the_state_and_the_next_apply_finishes(
    make_project: Callable[[str], Project], web: Path, cloud_record: CloudRecord
) -> None:
    project = make_project(image(web))
    project.succeed("apply", "-auto-approve")
    before = project.state()["invar_image.web"]
    rename(web, "interrupted")
    control(cloud_record, "POST", "faults", {"operation": "PutSnapshotBlock", "latency": 8.0, "times": None})
    try:
        process = project.begin("apply", "-auto-approve")
        assert process.stdout is not None
        for line in process.stdout:
            if "Modifying..." in line:
                break
        time.sleep(2)
        stopped = project.interrupt(process)
    finally:
        control(cloud_record, "DELETE", "faults")
    assert stopped.code == 1 and "Interrupted" in stopped.text, stopped.text
    assert project.state()["invar_image.web"] == before
    project.succeed("apply", "-auto-approve")
    after = project.state()["invar_image.web"]
    assert after["generation"] > before["generation"] and sorted(after["amis"]) == sorted(REGIONS)


def test_a_configuration_that_is_known_only_at_apply(make_project: Callable[[str], Project], web: Path) -> None:
    project = make_project(
        f"""
resource "terraform_data" "place" {{ input = "{web}" }}
resource "invar_image" "web" {{
  configuration = terraform_data.place.output
  regions       = ["us-east-1"]
}}
"""
    )
    project.succeed("apply", "-auto-approve")
    values = project.state()["invar_image.web"]
    assert values["configuration"] == str(web) and sorted(values["amis"]) == ["us-east-1"]
    assert "No changes" in project.succeed("plan")


USER_DATA = """
data "invar_user_data" "web" {{
  content = file("{file}")
  image   = "{image}"
}}
"""


def test_user_data_is_evaluated_beside_the_image(make_project: Callable[[str], Project], web: Path) -> None:
    project = make_project("")
    file = project.directory / "role.nix"
    file.write_text('{ imports = [ ./configuration.nix ]; environment.etc.role.text = "web"; }\n')
    project.write(USER_DATA.format(file=file, image=web))
    project.succeed("apply", "-auto-approve")
    values = project.state()["data.invar_user_data.web"]
    assert values["kind"] == "configuration" and values["bytes"] == file.stat().st_size
    assert re.fullmatch("[0-9a-f]{64}", values["spec_digest"]) and values["signed_by"] is None
    assert b64decode(values["base64"]) == file.read_bytes()

    file.write_text("{\n  imports = [ ./configuration.nix ];\n  networking.hostname = 1;\n}\n")
    failed = project.run("plan")
    assert failed.code == 1
    assert "networking.hostName" in failed.text and 'data "invar_user_data" "web"' in failed.text


def test_a_system_is_evaluated_with_the_options_asked_for(make_project: Callable[[str], Project], web: Path) -> None:
    project = make_project(
        f"""
data "invar_system" "web" {{
  configuration = "{web}"
  options       = ["networking.firewall.allowedTCPPorts"]
}}
output "ports" {{ value = jsondecode(data.invar_system.web.values["networking.firewall.allowedTCPPorts"]) }}
"""
    )
    project.succeed("apply", "-auto-approve")
    values = project.state()["data.invar_system.web"]
    assert values["host_name"] == "production-web-01" and "nginx" in values["packages"]
    assert "22" in project.succeed("output", "-json", "ports")


def test_a_fault_in_the_configuration_is_told_at_its_attribute_with_the_line(
    make_project: Callable[[str], Project], web: Path
) -> None:
    project = make_project(image(web))
    (web / "configuration.nix").write_text("{\n  services.opensh.enable = true;\n}\n")
    failed = project.run("plan")
    assert failed.code == 1
    assert "configuration.nix:2" in failed.text and "services.openssh" in failed.text
    assert re.search(r"on main.tf line \d+, in resource \"invar_image\" \"web\"", failed.text)


def image_with(lines: str) -> str:
    return f'resource "invar_image" "web" {{\n{lines}\n}}'


def user_data_with(lines: str) -> str:
    return f'data "invar_user_data" "web" {{\n{lines}\n}}'


GOOD = 'configuration = "."\nregions = ["us-east-1"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (image_with('configuration = "."\nregions = ["europe"]'), "is no region"),
        (image_with('configuration = "."\nregions = []'), "No region"),
        (image_with('configuration = "."\nregions = ["us-east-1", "us-east-1"]'), "named twice"),
        (image_with(GOOD + "volume_size = 1e30"), "whole number"),
        (image_with('configuration = "."\nregions = 3'), "list of string required"),
        (image_with('configuration = "."'), 'argument "regions" is required'),
        (image_with(GOOD + 'on_destroy = "keep"'), "retain"),
        (image_with(GOOD + 'share_with = ["1"]'), "12 digits"),
        (image_with(GOOD + "volume_size = 1.5"), "whole number"),
        (image_with(GOOD + 'kms_keys = { eu-west-1 = "arn" }'), "none of the regions"),
        ('data "invar_image" "web" {\nname = "nothing"\nregions = ["us-east-1"]\n}', "there is no image of nothing"),
        ('data "invar_image" "web" {\nname = "nothing"\nregions = ["europe"]\n}', "is no region"),
        (user_data_with('content = format("%016385d", 0)'), "16385 bytes, and EC2 takes 16384"),
        (user_data_with('content_base64 = base64encode(format("%016385d", 0))'), "16385 bytes"),
        (user_data_with('content_base64 = "what is this?"'), "no base64"),
        (user_data_with('content = "{ }"\ncontent_base64 = "e30="'), "given twice"),
        (user_data_with('content = "#cloud-config"'), "cloud-config"),
        (user_data_with('content = "{ }"\ntrusted_keys = ["me"]'), "no public key"),
        ('data "invar_system" "web" {\nconfiguration = "./nowhere"\n}', "no configuration at"),
    ],
)
def test_bad_input_is_refused_with_its_place(make_project: Callable[[str], Project], text: str, said: str) -> None:
    project = make_project("")
    project.write(text)
    failed = project.run("plan")
    assert failed.code == 1
    assert said.lower() in " ".join(failed.text.replace("│", " ").lower().split())
    assert "on main.tf line" in failed.text


def test_a_region_that_the_account_has_not_is_told_at_plan(make_project: Callable[[str], Project], web: Path) -> None:
    failed = make_project(image(web, regions=("us-east-1", "eu-west-9"))).run("plan")
    assert failed.code == 1
    said = " ".join(failed.text.replace("│", " ").split())
    assert "no region eu-west-9" in said and "eu-west-1" in said and "on main.tf line" in said


def test_a_missing_invar_is_told(make_project: Callable[[str], Project]) -> None:
    project = make_project('data "invar_image" "web" {\n name = "a"\n regions = ["us-east-1"]\n}')
    lost = Project(project.directory, {**project.environment, "INVAR_COMMAND": "/nowhere/invar"})
    failed = lost.run("plan")
    assert failed.code == 1 and "needs the command invar" in " ".join(failed.text.split())


def test_an_invar_of_another_version_is_told(make_project: Callable[[str], Project]) -> None:
    project = make_project('data "invar_image" "web" {\n name = "a"\n regions = ["us-east-1"]\n}')
    plugins = next(project.directory.glob("terraform.d/plugins/*/invar/invar"))
    before, older = plugins / __version__, plugins / "0.0.9"
    before.rename(older)
    for launcher in older.glob("*/terraform-provider-invar_v*"):
        launcher.write_text(launcher.read_text().replace(f"serve {__version__}", "serve 0.0.9"))
        launcher.rename(launcher.with_name("terraform-provider-invar_v0.0.9"))
    shutil.rmtree(project.directory / ".terraform")
    (project.directory / ".terraform.lock.hcl").unlink()
    failed = project.run("init", "-input=false")
    told = failed.text if failed.code else project.run("plan").text
    said = " ".join(told.replace("│", " ").split())
    assert "version 0.0.9" in said and f"starts is {__version__}" in said and "invar terraform install" in said
