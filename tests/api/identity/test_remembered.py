# SPDX-License-Identifier: Apache-2.0
"""What is remembered of tokens is never told once it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.cloud import RunningCloud
from support.guest import CHANGES, Ask, Change, Guest
from support.people import environment


@pytest.fixture
def ask(cloud: RunningCloud) -> Iterator[Ask]:
    """Puts requests as an administrator."""
    with httpx.Client(base_url=cloud.control_url, timeout=30) as client:
        client.headers["X-Auth-Token"] = environment(cloud)["ADMIN_TOKEN"]

        def put(method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
            return client.request(method, path, json=body, headers=headers)

        yield put


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_change_is_told_at_once(ask: Ask, change: Change) -> None:
    guest = Guest(ask)
    try:
        before = [guest.told(ask) for _ in range(3)]
        assert before[0][0] == 200
        assert before == [before[0]] * 3
        guest.suffer(change)
        assert guest.told(ask) != before[0]
    finally:
        guest.leave()


def test_changed_rules_count_for_what_is_remembered(tmp_path: Path) -> None:
    rules = tmp_path / "policy" / "identity.yaml"
    rules.parent.mkdir()
    rules.write_text("{}")
    own = RunningCloud(tmp_path / "state", ["identity"], settings={"policy_dir": str(rules.parent)})
    try:
        token = environment(own)["ADMIN_TOKEN"]
        headers = {"X-Auth-Token": token, "X-Subject-Token": token}

        def told() -> int:
            return httpx.get(f"{own.control_url}/identity/v3/auth/tokens", headers=headers).status_code

        assert [told() for _ in range(3)] == [200] * 3
        rules.write_text('"identity:validate_token": "!"')
        own.control.cloud.reload_policies()
        assert told() == 403
    finally:
        own.close()
