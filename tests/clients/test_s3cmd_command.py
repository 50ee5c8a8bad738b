# SPDX-License-Identifier: Apache-2.0
"""The unmodified `s3cmd`, as its users keep folders in buckets."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from clients.object_tools import LARGE, Owner, Tool, grown, plant

pytestmark = pytest.mark.clients


@pytest.fixture
def s3cmd(owner: Owner, tmp_path: Path) -> Tool:
    said = {
        "access_key": owner.access, "secret_key": owner.secret, "host_base": owner.address,
        "host_bucket": owner.address, "use_https": "False", "multipart_chunk_size_mb": "5", "progress_meter": "False",
        "website_endpoint": "", "max_delete": "-1",
    }  # fmt: skip
    lines = ["[default]", *(f"{name} = {value}" for name, value in said.items())]
    (tmp_path / "s3cfg").write_text("\n".join(lines) + "\n")
    return Tool(["s3cmd", "-c", str(tmp_path / "s3cfg")], tmp_path, {})


def test_a_folder_is_kept_in_a_bucket(s3cmd: Tool, owner: Owner, tmp_path: Path) -> None:
    bucket = f"s3cmd-{owner.suffix}"
    files = plant(tmp_path / "in", large=LARGE)
    assert "created" in s3cmd("mb", f"s3://{bucket}")
    assert f"s3://{bucket}" in s3cmd("ls")
    s3cmd("sync", "in/", f"s3://{bucket}/tree/")
    assert int(owner.head(f"{bucket}/tree/large").headers["content-length"]) == LARGE
    assert f"{LARGE}" in s3cmd("ls", "-r", f"s3://{bucket}/tree/large")
    assert f"{sum(map(len, files.values()))}" in s3cmd("du", f"s3://{bucket}/tree/")
    (tmp_path / "out").mkdir()
    s3cmd("sync", f"s3://{bucket}/tree/", "out/")
    assert grown(tmp_path / "out") == files
    assert "upload" not in s3cmd("sync", "in/", f"s3://{bucket}/tree/")
    (tmp_path / "in" / "empty").unlink()
    (tmp_path / "in" / "deep" / "er" / "still" / "leaf").write_bytes(b"another")
    assert "upload" in s3cmd("sync", "--delete-removed", "in/", f"s3://{bucket}/tree/")
    assert "tree/empty" not in s3cmd("ls", "-r", f"s3://{bucket}")
    s3cmd("get", f"s3://{bucket}/tree/deep/er/still/leaf", "leaf")
    assert (tmp_path / "leaf").read_bytes() == b"another"
    s3cmd("rb", f"s3://{bucket}", code=13)
    s3cmd("del", "-r", "--force", f"s3://{bucket}")
    s3cmd("rb", f"s3://{bucket}")
    assert bucket not in s3cmd("ls")


def test_one_object_and_who_may_read_it(s3cmd: Tool, owner: Owner, tmp_path: Path) -> None:
    bucket = f"s3cmd-one-{owner.suffix}"
    (tmp_path / "words").write_bytes(b"few words")
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("put", "--add-header=x-amz-meta-colour:red", "-m", "text/x-words", "words", f"s3://{bucket}/a word")
    said = s3cmd("info", f"s3://{bucket}/a word")
    assert "x-amz-meta-colour: red" in said
    assert "text/x-words" in said
    assert "Location:" in s3cmd("info", f"s3://{bucket}")
    signed = s3cmd("signurl", f"s3://{bucket}/a word", "+60").strip()
    assert httpx.get(signed).content == b"few words"
    assert httpx.get(signed.replace("Signature=", "Signature=A")).status_code == 403
    s3cmd("cp", f"s3://{bucket}/a word", f"s3://{bucket}/copy")
    s3cmd("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    s3cmd("modify", "--add-header=x-amz-meta-colour:blue", f"s3://{bucket}/moved")
    assert "x-amz-meta-colour: blue" in s3cmd("info", f"s3://{bucket}/moved")
    assert httpx.get(f"{owner.account}/{bucket}/moved").status_code == 401
    s3cmd("setacl", "--acl-public", f"s3://{bucket}")
    assert "anon" in s3cmd("info", f"s3://{bucket}")
    assert httpx.get(f"{owner.account}/{bucket}/moved").content == b"few words"
    s3cmd("setacl", "--acl-private", f"s3://{bucket}")
    assert httpx.get(f"{owner.account}/{bucket}/moved").status_code == 401
    assert sorted(owner.listed(bucket)) == ["a word", "moved"]
    s3cmd("del", f"s3://{bucket}/moved")
    assert "does not exist" in s3cmd("get", f"s3://{bucket}/moved", "nothing", code=64)
    s3cmd("del", f"s3://{bucket}/a word")
    s3cmd("rb", f"s3://{bucket}")


def test_parts_policies_and_rules(s3cmd: Tool, owner: Owner, tmp_path: Path) -> None:
    bucket = f"s3cmd-parts-{owner.suffix}"
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("put", "-", f"s3://{bucket}/stream", given=b"s" * LARGE)
    assert "stream" not in s3cmd("multipart", f"s3://{bucket}")
    s3cmd("get", f"s3://{bucket}/stream", "stream")
    assert (tmp_path / "stream").read_bytes() == b"s" * LARGE
    s3cmd("expire", "--expiry-days=3", "--expiry-prefix=old/", f"s3://{bucket}")
    assert "old/" in s3cmd("getlifecycle", f"s3://{bucket}")
    s3cmd("dellifecycle", f"s3://{bucket}")
    cors = (
        "<CORSConfiguration><CORSRule><AllowedOrigin>http://a.example</AllowedOrigin>"
        "<AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
    )
    (tmp_path / "cors").write_text(cors)
    s3cmd("setcors", "cors", f"s3://{bucket}")
    assert "http://a.example" in s3cmd("info", f"s3://{bucket}")
    s3cmd("delcors", f"s3://{bucket}")
    s3cmd("rb", "--force", "-r", f"s3://{bucket}")
