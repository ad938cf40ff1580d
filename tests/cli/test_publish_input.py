"""`invar publish` and `invar images` with input that cannot work: refused before anything is built or sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from command import invar
from invar.core.home import Home

EXAMPLE = "examples/production-web"


@pytest.fixture(autouse=True)
def no_aws_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither credentials nor a region, wherever boto3 looks."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("publish", EXAMPLE), 2, "AWS_REGION"),
        (("publish", EXAMPLE, "--region", "eu-west-1", "--share-with", "1234"), 2, "12 digits"),
        (("publish", EXAMPLE, "--region", "eu-west-1", "--organization", "o-1234"), 2, "ARN of an organization"),
        (("publish", EXAMPLE, "--region", "eu-west-1", "--deprecate-after", "soon"), 2, "90d"),
        (("publish", EXAMPLE, "--region", "eu-west-1", "--kms-key", "eu-west-1=mine"), 2, "KMS key"),
        (
            ("publish", EXAMPLE, "--region", "eu-west-1", "--kms-key", "eu-west-1=arn:aws:kms:us-east-1:1:key/k"),
            2,
            "not in eu-west-1",
        ),
        (
            ("publish", EXAMPLE, "--region", "eu-west-1", "--kms-key", "arn:aws:kms:us-east-1:1:key/k"),
            2,
            "no --region",
        ),
        (("publish", EXAMPLE, "--profile", "nobody", "--region", "eu-west-1"), 1, "nobody"),
        (("publish", EXAMPLE, "--local", "--profile", "x", "--region", "eu-west-1"), 2, "--local"),
        (("publish", "/nowhere", "--region", "eu-west-1"), 2, "/nowhere"),
        (("publish", EXAMPLE, "--region", "eu-west-1"), 1, "AWS_ACCESS_KEY_ID"),
        (("images", "--region", "not a region"), 2, "not a region"),
        (("images",), 1, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_it_is_refused(repository: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = invar(*arguments, home=Home(tmp_path / "home"), cwd=repository)
    assert (done.code, done.out) == (code, ""), done.err
    assert said in done.err
