# SPDX-License-Identifier: Apache-2.0
"""Of many writers who name the same revision one wins, whatever they write."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support.people import environment

WRITERS = 8
ROUNDS = 5


@pytest.fixture(scope="module")
def client(cloud):
    headers = {"x-auth-token": environment(cloud)["MEMBER_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=60) as found:
        yield found


@pytest.fixture
def network(client):
    key = client.post("/networks", json={"network": {}}).json()["network"]["id"]
    yield key
    client.delete(f"/networks/{key}")


def _revision(client: httpx.Client, key: str) -> dict[str, str]:
    number = client.get(f"/networks/{key}").json()["network"]["revision_number"]
    return {"if-match": f"revision_number={number}"}


def _at_once(client: httpx.Client, method: str, paths: list[str], headers: dict[str, str], body: Any = None) -> Counter:
    """How often each status was answered to requests that were sent together."""
    ready = threading.Barrier(len(paths))

    def send(path: str) -> int:
        ready.wait()
        return client.request(method, path, json=body, headers=headers).status_code

    with ThreadPoolExecutor(len(paths)) as pool:
        return Counter(pool.map(send, paths))


def test_one_change_of_a_revision_wins(client, network):
    for _ in range(ROUNDS):
        paths = [f"/networks/{network}"] * WRITERS
        found = _at_once(client, "PUT", paths, _revision(client, network), {"network": {"description": "mine"}})
        assert found == {200: 1, 412: WRITERS - 1}


def test_one_tag_of_a_revision_wins(client, network):
    for turn in range(ROUNDS):
        paths = [f"/networks/{network}/tags/{turn}-{writer}" for writer in range(WRITERS)]
        assert _at_once(client, "PUT", paths, _revision(client, network)) == {201: 1, 412: WRITERS - 1}
    assert len(client.get(f"/networks/{network}/tags").json()["tags"]) == ROUNDS


def test_tags_of_an_old_revision_stay(client, network):
    old = _revision(client, network)
    assert client.put(f"/networks/{network}/tags", json={"tags": ["a"]}, headers=old).status_code == 200
    assert client.delete(f"/networks/{network}/tags", headers=old).status_code == 412
    assert client.get(f"/networks/{network}/tags").json() == {"tags": ["a"]}
