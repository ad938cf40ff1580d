"""A fleet.nix: what it declares, and how what is wrong with it is told: file, line, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.declaration import chosen, load_fleets
from invar.fleet.spec import AuditPolicy, FleetSpec, Window

ZONES = 'regions.eu-west-1.zones = [ "eu-west-1a" ]'
TARGET = "arn:aws:elasticloadbalancing:{}:123456789012:targetgroup/web/0123456789abcdef"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("code")


class Declared:
    """A project with a configuration, whose fleet.nix is written and read."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache = root, cache
        (root / "configuration.nix").write_text("{ }\n")

    def whole(self, text: str) -> dict[str, FleetSpec]:
        (self.root / "fleet.nix").write_text(text)
        return load_fleets(self.root, lambda path: f"name of {path.stem}", Report(), cache_dir=self.cache)

    def web(self, body: str, network: str = ZONES) -> FleetSpec:
        """The fleet web, whose body stands on line 3."""
        return self.whole(f"{{\n  fleets.web = {{ {network};\n    {body}\n  }};\n}}\n")["web"]


@pytest.fixture
def declared(tmp_path: Path, cache: Path) -> Declared:
    return Declared(tmp_path, cache)


def test_what_is_not_said_has_defaults(declared: Declared) -> None:
    spec = declared.web("")
    assert spec.name == "web" and spec.configuration.startswith("name of ")
    assert (spec.min, spec.desired, spec.size("eu-west-1").max) == (1, None, 2)
    assert (spec.order, spec.home, spec.group) == (("eu-west-1",), "eu-west-1", "invar-web")
    assert (spec.rollout.canary, spec.rollout.min_healthy, spec.rollout.max_healthy) == (10, 100, 110)
    assert spec.audit == AuditPolicy(sessions=False, max_age=10800)


def test_what_is_said_is_what_is_declared(declared: Declared) -> None:
    spec = declared.web(
        'configuration = "shop"; rollout.window = { days = [ "Tue" ]; from = "22:00"; to = "04:00"; };'
        "audit = { sessions = true; maxAge = null; }; parameters.limits = { files = 9; };"
        'rollout.waves = [ 20 50 ]; instanceTypes = [ "m7g.large" "u-6tb1.metal" ];'
    )
    assert spec.configuration == "shop" and spec.rollout.window == Window(("Tue",), "22:00", "04:00")
    assert spec.audit == AuditPolicy(sessions=True, max_age=None)
    assert spec.parameters == {"limits": {"files": 9}} and spec.mixed


def test_a_configuration_may_lie_elsewhere(declared: Declared) -> None:
    (declared.root / "shop").mkdir()
    (declared.root / "shop" / "configuration.nix").touch()
    assert declared.web("configuration = ./shop;").configuration == "name of shop"
    assert declared.web("configuration = ./shop/configuration.nix;").configuration == "name of configuration"


@pytest.mark.parametrize(
    ("body", "said", "hint"),
    [
        ('min = "three";', "`fleets.web.min' is not of type `unsigned integer", "options.nix"),
        ("min = -1;", "is not of type `unsigned integer", '-1'),
        ("minimum = 3;", "The option `fleets.web.minimum' does not exist", "did you mean `fleets.web.min'?"),
        ("rollout.cannary = 3;", "`fleets.web.rollout.cannary' does", "you mean `fleets.web.rollout.canary'?"),
        ("min = three;", "undefined variable 'three'", "min = three"),
        ("rollout.canary = 0;", "between 1 and 100", "rollout.canary = 0"),
        ("rollout.canary = 101;", "between 1 and 100", "101"),
        ("rollout.waves = [ 120 ];", "between 1 and 100", "120"),
        ("rollout.minHealthy = 120;", "between 0 and 100", "120"),
        ("rollout.maxHealthy = 90;", "between 100 and 200", "90"),
        ("spot.share = 200;", "between 0 and 100", "200"),
        ("rollout.pause = 999999;", "between 0 and 172800", "999999"),
        ("audit.maxAge = 0;", "positive integer", "maxAge = 0"),
        ('rollout.window = "nights";', "`fleets.web.rollout.window' is not of type", "nights"),
        ('rollout.window.days = [ "Monday" ];', 'one of "Mon", "Tue"', "Monday"),
        ('rollout.window.from = "25:00";', "string matching the pattern", "25:00"),
        ("instanceTypes = [ ];", "non-empty", "[ ]"),
    ],
)  # fmt: skip
def test_an_option_that_is_none_or_of_another_type(declared: Declared, body: str, said: str, hint: str) -> None:
    with pytest.raises(InvarError) as refused:
        declared.web(body)
    text = str(refused.value)
    assert said in text and hint in text
    assert re.search(rf"at {re.escape(str(declared.root))}/fleet.nix:3:\d+", text)


@pytest.mark.parametrize(
    ("body", "said", "hint"),
    [
        ("rollout.waves = [ 50 20 ];", "waves ascend", "the canary is 10 %: waves = [ 50 ]"),
        ("rollout.waves = [ 5 ];", "come after the canary", "waves = [ 50 ]"),
        ("rollout.maxHealthy = 100;", "with both at 100 % nothing could be replaced", "raise maxHealthy"),
        ("rollout = { minHealthy = 50; maxHealthy = 200; };", "more than 100 above minHealthy", "raise minHealthy, or"),
        ('rollout.window = { from = "10:00"; to = "10:00"; };', "from 10:00 to 10:00 never opens", "00:00 to 24:00"),
        ("rollout.window.days = [ ];", "the window has no day", "every day"),
        ('rollout.regions = [ "us-east-1" ];', "the fleet is not in us-east-1", "it is in eu-west-1"),
        ('rollout.regions = [ "eu-west-1" "eu-west-1" ];', "a region is named twice", "once"),
        ('ledgerRegion = "home";', "'home' is no region", "they look like eu-west-1"),
        ('ledgerRegion = "eu-vest-1";', "there is no region eu-vest-1", "did you mean eu-west-1?"),
        ("min = 3; max = 2;", "in eu-west-1 min is 3, max 2", "min ≤ desired ≤ max"),
        ("min = 3; desired = 1;", "min is 3, desired 1", "min ≤ desired ≤ max"),
        ('health.type = "ELB";', "there is no target group in eu-west-1", "regions.eu-west-1.targetGroups"),
        ('instanceTypes = [ "large" ];', "'large' is no instance type", "t3.small"),
        ('instanceTypes = [ "t3.small" "t3.small" ];', "named twice", "once"),
        ('tags."aws:x" = "1";', "the tag aws:x is not yours to set", "invar:"),
        ("parameters.list = [ 1 (x: x) ];", "parameters.list[1] is a function", "text, numbers"),
        ("configuration = ./nothing.nix;", "there is no configuration at", "the name of a published configuration"),
        ('configuration = "./configuration.nix";', "no published configuration's name", "without quotes"),
        ('configuration = "";', "no published configuration's name", "without quotes"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_told_where_it_is_set(declared: Declared, body: str, said: str, hint: str) -> None:
    with pytest.raises(InvarError) as refused:
        declared.web(body)
    error = refused.value
    assert said in error.what and error.hint is not None and hint in error.hint
    assert error.where == f"{declared.root}/fleet.nix:3"


@pytest.mark.parametrize(
    ("network", "said", "hint"),
    [
        ('regions.eu-vest-1.zones = [ "eu-vest-1a" ]', "there is no region eu-vest-1", "did you mean eu-west-1?"),
        ('regions.Frankfurt.zones = [ "a" ]', "'Frankfurt' is no region", "they look like"),
        ("regions.eu-west-1 = { }", "eu-west-1 needs subnets, or else zones", 'zones = [ "eu-west-1a" ]'),
        (
            'regions.eu-west-1 = { subnets = [ "subnet-1" ]; zones = [ "eu-west-1a" ]; }',
            "subnets, or else zones, and not both",
            "default subnets",
        ),
        ('regions.eu-west-1.zones = [ "us-east-1a" ]', "'us-east-1a' is no zone of eu-west-1", "eu-west-1a"),
        ('regions.eu-west-1.zones = [ "" ]', "'' is no zone of eu-west-1", "eu-west-1a"),
        (
            f'regions.eu-west-1 = {{ zones = [ "eu-west-1a" ]; targetGroups = [ "{TARGET.format("us-east-1")}" ]; }}',
            "is not in eu-west-1",
            "its own region",
        ),
        ("min = 1", "the fleet has no region", "regions.eu-west-1.subnets"),
        (
            'health.type = "ELB"; regions.us-east-1.zones = [ "us-east-1a" ]; '
            f'regions.eu-west-1 = {{ zones = [ "eu-west-1a" ]; targetGroups = [ "{TARGET.format("eu-west-1")}" ]; }}',
            "there is no target group in us-east-1",
            "regions.us-east-1.targetGroups",
        ),
    ],
)
def test_a_region_that_cannot_be_is_told_where_it_is_set(
    declared: Declared, network: str, said: str, hint: str
) -> None:
    with pytest.raises(InvarError) as refused:
        declared.web("", network)
    error = refused.value
    assert said in error.what and error.hint is not None and hint in error.hint
    assert error.where == f"{declared.root}/fleet.nix:2"


def test_a_region_that_aws_may_have_opened_since_is_taken(declared: Declared) -> None:
    assert declared.web("", 'regions.eu-west-9.zones = [ "eu-west-9a" ]').order == ("eu-west-9",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ }", "no fleet is declared"),
        (f"{{ fleet.web = {{ {ZONES}; }}; }}", "did you mean `fleets'?"),
        (f'{{ fleets."Web Server" = {{ {ZONES}; }}; }}', "'Web Server' cannot be a fleet's name"),
        (f"{{ fleets.web = {{ {ZONES} }}; }}", "expecting ';'"),
        ("[ 1 ]", "fleet.nix"),
    ],
)
def test_a_file_that_declares_no_fleet(declared: Declared, text: str, said: str) -> None:
    with pytest.raises(InvarError) as refused:
        declared.whole(text)
    assert said in str(refused.value) and "fleet.nix" in str(refused.value)


def test_a_fleet_whose_configuration_is_missing(declared: Declared) -> None:
    (declared.root / "configuration.nix").unlink()
    with pytest.raises(InvarError) as refused:
        declared.web("")
    error = refused.value
    assert error.what == f"there is no configuration at {declared.root}"
    assert error.where == f"{declared.root}/fleet.nix:2" and error.hint is not None and "invar images" in error.hint


def test_parameters_that_ec2_does_not_take(declared: Declared) -> None:
    with pytest.raises(InvarError, match="EC2 takes 16384 at most") as refused:
        declared.web('parameters.x = builtins.concatStringsSep "" (builtins.genList (x: "0123456789abcdef") 2000);')
    assert refused.value.where == f"{declared.root}/fleet.nix:3"


def test_a_fleet_that_is_not_declared_cannot_be_chosen(declared: Declared) -> None:
    found = declared.whole(f"{{ fleets.web = {{ {ZONES}; }}; fleets.shop = {{ {ZONES}; }}; }}")
    assert [one.name for one in chosen(found, ())] == ["shop", "web"]
    with pytest.raises(InvarError, match="there is no fleet api") as refused:
        chosen(found, ("api",))
    assert refused.value.hint == "there is shop, web"


def test_without_a_fleet_nix_the_document_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvarError, match=r"there is no fleet\.nix") as refused:
        load_fleets(tmp_path, lambda path: "", Report(), cache_dir=None)
    assert refused.value.hint is not None and "docs/fleet.md" in refused.value.hint and refused.value.exit_code == 2
