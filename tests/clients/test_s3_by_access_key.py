# SPDX-License-Identifier: Apache-2.0
"""boto's core by an access key of identity: what it signs is judged by a secret that came over the link."""

from __future__ import annotations

import os
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clients.openstack_command import OpenStackCommand
from support.waiting import until

pytestmark = pytest.mark.clients


def client(url: str, access: str, secret: str) -> Any:
    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def refused(s3: Any) -> str:
    try:
        s3.list_buckets()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_buckets_by_an_access_key_and_swift_beside(openstack: OpenStackCommand, swift: str) -> None:
    key = openstack("ec2 credentials create")
    s3 = client(swift, key["access"], key["secret"])
    body = os.urandom(70_000)
    s3.create_bucket(Bucket="by-key")
    s3.put_object(Bucket="by-key", Key="a/b", Body=body)
    assert s3.get_object(Bucket="by-key", Key="a/b")["Body"].read() == body
    assert openstack("object show by-key a/b")["content-length"] == "70000"
    assert refused(client(swift, key["access"], "wrong")) == "SignatureDoesNotMatch"
    assert refused(client(swift, "nobody", key["secret"])) == "InvalidAccessKeyId"
    s3.delete_object(Bucket="by-key", Key="a/b")
    s3.delete_bucket(Bucket="by-key")
    openstack.text(f"ec2 credentials delete {key['access']}")
    assert until(lambda: refused(s3), seconds=20) == "InvalidAccessKeyId"
