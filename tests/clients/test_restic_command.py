# SPDX-License-Identifier: Apache-2.0
"""The unmodified `restic` with its repository in the store, by Swift's API and by S3's."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.object_tools import LARGE, REGION, Owner, Tool, grown, plant

pytestmark = pytest.mark.clients


@pytest.fixture(params=["swift", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def restic(owner: Owner, kind: str, tmp_path: Path) -> Tool:
    where = {"swift": f"swift:restic-swift-{owner.suffix}:/kept", "s3": f"s3:{owner.url}/restic-s3-{owner.suffix}/kept"}
    variables = {
        "RESTIC_REPOSITORY": where[kind], "RESTIC_PASSWORD": "a good word", "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
        "OS_AUTH_URL": owner.auth_url, "OS_USERNAME": owner.user, "OS_PASSWORD": owner.password,
        "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_NAME": owner.project, "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": "RegionOne",
        "AWS_ACCESS_KEY_ID": owner.access, "AWS_SECRET_ACCESS_KEY": owner.secret, "AWS_DEFAULT_REGION": REGION,
    }  # fmt: skip
    return Tool(["restic"], tmp_path, variables)


def test_backups_are_kept_checked_and_forgotten(restic: Tool, owner: Owner, kind: str, tmp_path: Path) -> None:
    box, source = f"restic-{kind}-{owner.suffix}", tmp_path / "in"
    first = plant(source, large=LARGE)
    restic("init")
    restic("backup", "--tag", "first", "in")
    (source / "empty").unlink()
    (source / "large").write_bytes(b"smaller now")
    later = grown(source)
    restic("backup", "--tag", "later", "in")
    restic("restore", "latest", "--tag", "first", "--target", "old")
    assert grown(tmp_path / "old" / "in") == first
    before = owner.listed(box)
    restic("forget", "--keep-last", "1", "--prune")
    assert set(before) - set(owner.listed(box))
    assert "no errors were found" in restic("check", "--read-data")
    restic("restore", "latest", "--target", "new")
    assert grown(tmp_path / "new" / "in") == later
    assert not [name for name in owner.listed(box) if "/locks/" in name]
