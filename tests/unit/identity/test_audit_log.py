# SPDX-License-Identifier: Apache-2.0
"""A cloud that was asked to logs what identity tells: from a refused log-in to a line."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest

from support.cloud import RunningCloud
from support.waiting import until


def test_a_refused_log_in_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cumulet.notifications")
    cloud = RunningCloud(tmp_path, ["identity"], settings={"log.notifications": "identity"})
    try:
        user = {"name": "mallory", "domain": {"id": "default"}, "password": "hush hush"}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        answer = httpx.post(f"{cloud.control_url}/identity/v3/auth/tokens", json=body)
        assert answer.status_code == 401
        lines = until(lambda: [one for one in caplog.records if one.name == "cumulet.notifications"])
    finally:
        cloud.close()
    (line,) = lines
    said = vars(line)
    assert (said["event_type"], said["publisher_id"]) == ("identity.authenticate", "identity.host-1")
    assert said["request_id"] == answer.headers["x-openstack-request-id"]
    assert said["payload"]["reason"] == {"reasonType": "Could not find user: mallory.", "reasonCode": "404"}
    assert "hush" not in str(said)
