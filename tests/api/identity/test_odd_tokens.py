# SPDX-License-Identifier: Apache-2.0
"""Whatever is handed over for a token is refused, and never a bug."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.cloud import RunningCloud
from support.people import environment


@pytest.fixture(scope="module")
def client(cloud: RunningCloud) -> Iterator[httpx.Client]:
    headers = {"X-Auth-Token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/identity/v3", headers=headers, timeout=30) as made:
        yield made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300), raw=st.binary(max_size=60))
def test_no_token_is_a_bug(client: httpx.Client, token: str, raw: bytes) -> None:
    for headers in ({"X-Auth-Token": token}, {"X-Subject-Token": token}, {"X-Service-Token": token}):
        assert client.get("/auth/tokens", headers=headers).status_code in (200, 401, 404)
    assert client.post("/auth/tokens", content=raw).status_code in (400, 401)
