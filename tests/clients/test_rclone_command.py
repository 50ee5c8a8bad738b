# SPDX-License-Identifier: Apache-2.0
"""The unmodified `rclone`, by Swift's API and by S3's, as its users copy, compare and stream."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import pytest

from clients.object_tools import LARGE, REGION, Owner, Tool, grown, plant

pytestmark = pytest.mark.clients

QUICK = ["--retries", "1", "--low-level-retries", "1"]


@pytest.fixture(params=["swift", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rclone(owner: Owner, kind: str, tmp_path: Path) -> Tool:
    """The command with the remotes `swift:` and `s3:`; objects of more than 5 MiB go in parts."""
    swift = {
        "type": "swift", "auth": owner.auth_url, "auth_version": "3", "user": owner.user, "key": owner.password,
        "domain": "Default", "tenant": owner.project, "tenant_domain": "Default", "region": "RegionOne",
        "chunk_size": "5Mi",
    }  # fmt: skip
    s3 = {
        "type": "s3", "provider": "Other", "endpoint": owner.url, "region": REGION, "access_key_id": owner.access,
        "secret_access_key": owner.secret, "chunk_size": "5Mi", "upload_cutoff": "5Mi", "copy_cutoff": "5Mi",
    }  # fmt: skip
    remotes = {"swift": swift, "s3": s3}
    said = {f"RCLONE_CONFIG_{at}_{name}".upper(): each[name] for at, each in remotes.items() for name in each}
    return Tool(["rclone", *QUICK], tmp_path, {"RCLONE_CONFIG": "/notfound", **said})


def test_a_folder_goes_there_and_comes_back(rclone: Tool, owner: Owner, kind: str, tmp_path: Path) -> None:
    box = f"rclone-{kind}-{owner.suffix}"
    files = plant(tmp_path / "in", large=LARGE)
    rclone("mkdir", f"{kind}:{box}")
    assert box in rclone("lsd", f"{kind}:")
    rclone("sync", "in", f"{kind}:{box}/tree")
    assert int(owner.head(f"{box}/tree/large").headers["content-length"]) == LARGE
    listed = json.loads(rclone("lsjson", "-R", "--files-only", f"{kind}:{box}/tree"))
    assert {each["Path"]: each["Size"] for each in listed} == {name: len(body) for name, body in files.items()}
    assert "0 differences found" in rclone("check", "--download", "in", f"{kind}:{box}/tree")
    small = "with words and ümläut"
    told = rclone("hashsum", "md5", f"{kind}:{box}/tree").splitlines()
    assert f"{hashlib.md5(files[small]).hexdigest()}  {small}" in told
    rclone("copy", f"{kind}:{box}/tree", "out")
    assert grown(tmp_path / "out") == files
    assert json.loads(rclone("size", "--json", f"{kind}:{box}"))["count"] == len(files)
    (tmp_path / "in" / "empty").unlink()
    (tmp_path / "in" / "deep" / "er" / "still" / "leaf").write_bytes(b"another")
    rclone("sync", "in", f"{kind}:{box}/tree")
    assert "0 differences found" in rclone("check", "in", f"{kind}:{box}/tree")
    assert "tree/empty" not in owner.listed(box)
    rclone("purge", f"{kind}:{box}")
    assert owner.head(box).status_code == 404


def test_what_is_done_by_the_store_itself(rclone: Tool, owner: Owner, kind: str, tmp_path: Path) -> None:
    box, other = f"rclone-at-{kind}-{owner.suffix}", f"rclone-to-{kind}-{owner.suffix}"
    stream = b"0123456789" * 600_000
    rclone("mkdir", f"{kind}:{box}")
    rclone("rcat", f"{kind}:{box}/a stream", given=stream)
    rclone("rcat", f"{kind}:{box}/a few bytes", given=b"few")
    assert rclone("cat", f"{kind}:{box}/a few bytes") == "few"
    assert rclone("cat", "--offset", "5999995", "--count", "3", f"{kind}:{box}/a stream") == "567"
    rclone("copy", f"{kind}:{box}", f"{kind}:{other}")
    assert "0 differences found" in rclone("check", "--download", f"{kind}:{box}", f"{kind}:{other}")
    rclone("moveto", f"{kind}:{other}/a few bytes", f"{kind}:{other}/under/it")
    rclone("copyto", f"{kind}:{other}/a stream", "back")
    assert (tmp_path / "back").read_bytes() == stream
    assert rclone("lsf", "-R", "--files-only", f"{kind}:{other}").splitlines() == ["a stream", "under/it"]
    rclone("deletefile", f"{kind}:{other}/under/it")
    rclone("deletefile", f"{kind}:{other}/under/it", code=1)
    rclone("delete", f"{kind}:{other}")
    rclone("rmdir", f"{kind}:{other}")
    if kind == "s3":
        assert httpx.get(rclone("link", "--expire", "1m", f"s3:{box}/a few bytes").strip()).content == b"few"
        assert json.loads(rclone("backend", "list-multipart-uploads", f"s3:{box}")) == {box: []}
        rclone("cleanup", f"s3:{box}")
    rclone("purge", f"{kind}:{box}")
    assert not [name for name in owner.listed("") if name.startswith((box, other)) and owner.listed(name)]


def test_both_dialects_show_the_same(rclone: Tool, owner: Owner, kind: str, tmp_path: Path) -> None:
    box, other = f"rclone-both-{kind}-{owner.suffix}", "s3" if kind == "swift" else "swift"
    plant(tmp_path / "in")
    rclone("copy", "in", f"{kind}:{box}")
    assert "0 differences found" in rclone("check", f"{kind}:{box}", f"{other}:{box}")
    rclone("purge", f"{other}:{box}")
    assert owner.head(box).status_code == 404
