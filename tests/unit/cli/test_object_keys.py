# SPDX-License-Identifier: Apache-2.0
"""The object store's process and the cloud's own key manager: it waits for its root secret, and keeps it then."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from cumulet.services.object_store.logic import key_fetching
from support.cloud import RunningCloud
from support.people import PASSWORD, environment
from support.waiting import until
from unit.cli.object_processes import TEMP_AUTH, store

KEY = os.urandom(32)
BODY = b"nobody reads this on a disk" * 10
SETTINGS = """
[object_store.api.filters.kms_keymaster]
auth_endpoint = "{control}/identity/v3"
user_id = "{user}"
password = "{password}"
project_id = "{project}"
key_id_first = "{key}"
active_root_secret_id = "first"
"""


def test_it_waits_for_its_keys_and_keeps_them(
    cloud: RunningCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_fetching, "EVERY", 0.1)
    people = environment(cloud)
    keys = f"{cloud.control_url}/key-manager/v1/secrets"
    headers = {"x-auth-token": people["MEMBER_TOKEN"]}
    about = {"name": "objects", "secret_type": "symmetric", "algorithm": "aes", "bit_length": 256}
    made = httpx.post(keys, json=about, headers=headers)
    assert made.status_code == 201, made.text
    key = made.json()["secret_ref"].rpartition("/")[2]
    (tmp_path / "cumulet.toml").write_text(
        TEMP_AUTH
        + SETTINGS.format(
            control=cloud.control_url,
            user=people["USER_ID"],
            password=PASSWORD,
            project=people["PROJECT_ID"],
            key=key,
        )
    )
    with store(tmp_path) as client:
        assert client.put("/box").status_code == 201
        assert client.put("/box/o", content=BODY).status_code == 503
        until(lambda: "must be in raw format" in caplog.text)
        stored = httpx.put(
            f"{keys}/{key}", content=KEY, headers={**headers, "content-type": "application/octet-stream"}
        )
        assert stored.status_code == 204, stored.text
        until(lambda: client.put("/box/o", content=BODY).status_code == 201)
    with store(tmp_path) as client:
        until(lambda: client.get("/box/o").status_code == 200)
        assert client.get("/box/o").content == BODY
    files = [path.read_bytes() for path in sorted((tmp_path / "objects").rglob("*")) if path.is_file()]
    assert files
    assert not any(BODY[:20] in each or KEY in each for each in files)
    assert not any(each in caplog.text for each in (PASSWORD, KEY.hex(), str(KEY)))
