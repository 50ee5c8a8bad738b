# SPDX-License-Identifier: Apache-2.0
"""Limits of projects that have none of their own are settings, called as Neutron calls them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from cumulet.services.network.store.kinds import KINDS
from cumulet.settings.network import Quotas
from support.cloud import RunningCloud
from support.people import environment


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a scenario knows, of a cloud whose projects may have one router and any number of networks."""
    limits = {"network.quotas.router": "1", "network.quotas.network": "-1"}
    running = RunningCloud(tmp_path_factory.mktemp("cloud"), settings=limits)
    try:
        yield environment(running)
    finally:
        running.close()


def test_every_kind_that_is_counted_has_a_setting() -> None:
    counted = {kind.counted for kind in KINDS if kind.counted}
    assert set(Quotas.__struct_fields__) == {*counted, "router_route"}


def test_settings_are_the_limits_of_those_who_have_no_others(words: dict[str, str]) -> None:
    headers, project = {"x-auth-token": words["MEMBER_TOKEN"]}, words["PROJECT_ID"]
    with httpx.Client(base_url=f"{words['CONTROL_URL']}/network/v2.0", headers=headers, timeout=30) as client:
        for path in (f"/quotas/{project}", f"/quotas/{project}/default"):
            limits = client.get(path).json()["quota"]
            assert (limits["router"], limits["network"], limits["port"]) == (1, -1, 500)
        assert client.get(f"/quotas/{project}/details").json()["quota"]["router"]["limit"] == 1
        assert client.post("/routers", json={"router": {"name": "first"}}).status_code == 201
        refused = client.post("/routers", json={"router": {"name": "second"}})
        assert refused.status_code == 409
        assert refused.json()["NeutronError"]["type"] == "OverQuota"
