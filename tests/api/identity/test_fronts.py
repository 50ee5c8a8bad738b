# SPDX-License-Identifier: Apache-2.0
"""A front that names users is known by the address it connects from, not by what a header claims."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from support.cloud import RunningCloud


@pytest.mark.parametrize(
    ("front", "claimed", "status"), [("127.0.0.1", "192.0.2.1", 201), ("192.0.2.1", "192.0.2.1", 401)]
)
def test_a_claimed_address_neither_helps_nor_hurts(tmp_path: Path, front: str, claimed: str, status: int) -> None:
    settings = {"identity.external_header": "X-Remote-User", "identity.external_from": front}
    cloud = RunningCloud(tmp_path, ["identity"], settings=settings)
    try:
        words = {"auth": {"identity": {"methods": ["external"], "external": {}}}}
        headers = {"X-Remote-User": "admin", "X-Forwarded-For": claimed}
        answer = httpx.post(f"{cloud.control_url}/identity/v3/auth/tokens", json=words, headers=headers)
        assert answer.status_code == status, answer.text
    finally:
        cloud.close()
