"""Clients of one AWS account: credentials and profiles as the AWS CLI knows them, one client a service and region."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, NoCredentialsError

from invar.aws.errors import AWS_ERRORS, told

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ebs import EBSClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

CONNECT_SECONDS = 10
READ_SECONDS = 60
ATTEMPTS = 5
CONNECTIONS = 64


class Cloud:
    """An account seen through one profile.

    `profile` None takes what the environment says (AWS_PROFILE, AWS_ACCESS_KEY_ID, an instance's role, ...).
    `endpoint_url` None likewise takes AWS_ENDPOINT_URL. `keys` (access key id, secret) and `region` come before what
    profile and environment say. Methods may be called from any thread and raise InvarError.
    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        endpoint_url: str | None = None,
        keys: tuple[str, str] | None = None,
        region: str | None = None,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}
        try:
            key, secret = keys or (None, None)
            self._session = boto3.Session(
                profile_name=profile, aws_access_key_id=key, aws_secret_access_key=secret, region_name=region
            )
        except BotoCoreError as error:
            raise told(error, "the AWS configuration") from error

    @property
    def region(self) -> str | None:
        """The region that the profile or the environment names."""
        return self._session.region_name

    def require_credentials(self) -> None:
        """Raise InvarError when there are none, without asking AWS: before long work whose result would need them."""
        try:
            if self._session.get_credentials() is None:
                raise NoCredentialsError
        except BotoCoreError as error:
            raise told(error, "the AWS configuration", what="there are no AWS credentials") from error

    def ec2(self, region: str) -> EC2Client:
        """EC2, with botocore's own retries."""
        client: EC2Client = self._client("ec2", region, ATTEMPTS)
        return client

    def ebs(self, region: str) -> EBSClient:
        """EBS direct, without botocore's retries: whoever sends blocks paces itself and keeps a deadline."""
        client: EBSClient = self._client("ebs", region, 1)
        return client

    def ssm(self, region: str) -> SSMClient:
        """Systems Manager, with botocore's own retries."""
        client: SSMClient = self._client("ssm", region, ATTEMPTS)
        return client

    def autoscaling(self, region: str) -> AutoScalingClient:
        """Auto Scaling, with botocore's own retries."""
        client: AutoScalingClient = self._client("autoscaling", region, ATTEMPTS)
        return client

    def account(self, region: str) -> str:
        """The account's 12-digit number. Raises InvarError."""
        sts: STSClient = self._client("sts", region, ATTEMPTS)
        try:
            return sts.get_caller_identity()["Account"]
        except AWS_ERRORS as error:
            raise told(error, f"sts:GetCallerIdentity {region}") from error

    def identity(self, region: str) -> str:
        """The ARN of whoever asks. Raises InvarError."""
        sts: STSClient = self._client("sts", region, ATTEMPTS)
        try:
            return sts.get_caller_identity()["Arn"]
        except AWS_ERRORS as error:
            raise told(error, f"sts:GetCallerIdentity {region}") from error

    def _client(self, service: str, region: str, attempts: int) -> Any:
        with self._lock:
            found = self._clients.get((service, region))
            if found is None:
                config = Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    max_pool_connections=CONNECTIONS,
                    retries={"total_max_attempts": attempts, "mode": "standard"},
                    user_agent_extra="invar",
                )
                try:
                    found = self._session.client(
                        service,  # type: ignore[call-overload]
                        region_name=region,
                        endpoint_url=self._endpoint_url,
                        config=config,
                    )
                except (BotoCoreError, ValueError) as error:
                    raise told(error, f"{service} {region}") from error
                self._clients[service, region] = found
            return found
