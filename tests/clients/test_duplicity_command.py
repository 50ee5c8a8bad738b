# SPDX-License-Identifier: Apache-2.0
"""Debian's `duplicity` with its archives in the store, by Swift's API and by S3's.

The libraries of both are those of the tests' own environment: Debian's would be 40 packages.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from clients.object_tools import REGION, Owner, Tool, grown, plant

pytestmark = pytest.mark.clients

VOLUMES = 1_300_000  # bytes: more than one volume of an archive
DEBIAN = "/usr/lib/python3/dist-packages"


@pytest.fixture(params=["swift", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(owner: Owner, kind: str) -> list[str]:
    """The place, and the words that go with it."""
    box = f"duplicity-{kind}-{owner.suffix}"
    if kind == "swift":
        return [f"swift://{box}/kept"]
    return [f"boto3+s3://{box}/kept", "--s3-endpoint-url", owner.url]


@pytest.fixture
def duplicity(owner: Owner, tmp_path: Path) -> Tool:
    variables = {
        "PYTHONPATH": f"{sysconfig.get_path('purelib')}:{DEBIAN}", "PASSPHRASE": "a good word",
        "SWIFT_AUTHURL": owner.auth_url, "SWIFT_AUTHVERSION": "3", "SWIFT_USERNAME": owner.user,
        "SWIFT_PASSWORD": owner.password, "SWIFT_TENANTNAME": owner.project, "SWIFT_USER_DOMAIN_NAME": "Default",
        "SWIFT_PROJECT_DOMAIN_NAME": "Default",
        "AWS_ACCESS_KEY_ID": owner.access, "AWS_SECRET_ACCESS_KEY": owner.secret, "AWS_DEFAULT_REGION": REGION,
    }  # fmt: skip
    (tmp_path / "tmp").mkdir()
    words = ["--archive-dir", str(tmp_path / "cache"), "--tempdir", str(tmp_path / "tmp"), "--num-retries", "1"]
    return Tool([sys.executable, "-W", "ignore", "/usr/bin/duplicity", *words], tmp_path, variables)


def test_full_and_incremental_archives_come_back(
    duplicity: Tool, address: list[str], owner: Owner, kind: str, tmp_path: Path
) -> None:
    place, *words = address
    source = tmp_path / "in"
    plant(source, large=VOLUMES)
    owner.make(f"duplicity-{kind}-{owner.suffix}")  # that of S3 is not made by it
    duplicity("full", "--volsize", "1", *words, "in", place)
    (source / "empty").unlink()
    (source / "deep" / "er" / "still" / "leaf").write_bytes(b"another")
    later = grown(source)
    duplicity("incremental", *words, "in", place)
    if kind == "s3":
        duplicity("verify", "--compare-data", *words, place, "in")
    else:
        duplicity("restore", *words, place, "new")
        assert grown(tmp_path / "new") == later
