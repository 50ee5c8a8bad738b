# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to whichever route, the answer is a refusal and never an error of ours."""

from __future__ import annotations

import itertools
import json
import re

import httpx
import pytest

from cumulet.services.block_storage.api import API
from support.cloud import RunningCloud
from support.people import environment

ROUTES = list(API.routes)
ODD = (
    None, True, -1, 2**70, 1.5, "", " ", "x" * 300, "\x00", "é\U0001f600", [], [None], {}, {"x": None}, {"": {"": [1]}},
)  # fmt: skip
QUERIES = (
    "limit=-1", "limit=99999999999999999999", "offset=-1", "offset=99999999999999999999", "marker=%00", "sort=",
    "sort=:", "sort=id:up", "sort_key=x", "sort_dir=x", "all_tenants=x", "with_count=x", "metadata=x",
    "metadata=%7B1:2%7D", "name~=%25", "created_at=gt:x", "created_at=x", "size=x", "size=99999999999999999999",
    "bootable=x", "is_public=x", "usage=x", "detail=x", "project_id=x", "status=%00", "id=x&host=y", "event_id=x",
    "created_at=gt:2020-01-01T00:00:00%2B99:00",
)  # fmt: skip


@pytest.fixture(scope="module")
def people(cloud: RunningCloud) -> dict[str, str]:
    return environment(cloud)


@pytest.fixture(scope="module")
def volume_id(cloud: RunningCloud, people: dict[str, str]) -> str:
    answer = _client(cloud, people["ADMIN_TOKEN"]).post("/volumes", json={"volume": {"size": 1}})
    assert answer.status_code == 202
    return str(answer.json()["volume"]["id"])


def _client(cloud: RunningCloud, token: str, version: str = "3.71") -> httpx.Client:
    headers = {"x-auth-token": token, "openstack-api-version": f"volume {version}", "content-type": "application/json"}
    return httpx.Client(base_url=f"{cloud.control_url}/block-storage/v3", headers=headers)


@pytest.mark.in_turn
@pytest.mark.parametrize("version", ["3.0", "3.71"])
def test_odd_bodies(cloud: RunningCloud, people: dict[str, str], volume_id: str, version: str) -> None:
    with _client(cloud, people["ADMIN_TOKEN"], version) as client:
        for route in ROUTES:
            if route.method not in ("POST", "PUT"):
                continue
            path = re.sub(r"{\w+}", volume_id, route.path)
            bodies: list[object] = list(ODD)
            if route.action:
                bodies += [{route.action: odd} for odd in ODD]
            elif route.body is not None:
                name = next(iter(route.body.document.get("properties", {"x": {}})))
                inside = route.body.document.get("properties", {}).get(name, {}).get("properties", {})
                bodies += [{name: odd} for odd in ODD]
                bodies += [{name: {field: odd}} for field, odd in itertools.product(inside, ODD)]
            for body in bodies:
                answer = client.request(route.method, path, content=json.dumps(body))
                assert answer.status_code != 500, (route.method, path, body, answer.text)


@pytest.mark.in_turn
@pytest.mark.parametrize("who", ["ADMIN_TOKEN", "MEMBER_TOKEN"])
def test_odd_queries(cloud: RunningCloud, people: dict[str, str], who: str) -> None:
    with _client(cloud, people[who]) as client:
        for route, query in itertools.product(ROUTES, QUERIES):
            if route.method == "GET" and "{" not in route.path:
                answer = client.get(f"{route.path}?{query}")
                assert answer.status_code != 500, (route.path, query, answer.text)


@pytest.mark.in_turn
def test_odd_ids(cloud: RunningCloud, people: dict[str, str]) -> None:
    with _client(cloud, people["ADMIN_TOKEN"]) as client:
        for route, odd in itertools.product(ROUTES, ("x", "%00", "%E9", "x" * 500)):
            if route.method in ("GET", "DELETE") and "{" in route.path:
                answer = client.request(route.method, re.sub(r"{\w+}", odd, route.path))
                assert answer.status_code != 500, (route.method, route.path, odd, answer.text)
