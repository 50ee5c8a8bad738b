# SPDX-License-Identifier: Apache-2.0
"""What an operator may choose of the search for candidates, and who stands for clients that do not say."""

from __future__ import annotations

import httpx
import pytest

from support.cloud import RunningCloud
from support.people import environment

NOBODY = "66666666-0000-4000-8000-000000000001"
CONSUMER = "66666666-0000-4000-8000-000000000002"
CHOSEN = {
    "placement.max_allocation_candidates": "3",
    "placement.allocation_candidates_generation_strategy": "breadth-first",
    "placement.randomize_allocation_candidates": "true",
    "placement.incomplete_consumer_project_id": NOBODY,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    cloud = RunningCloud(tmp_path_factory.mktemp("cloud"), ["identity", "placement"], settings=CHOSEN)
    headers = {"x-auth-token": environment(cloud)["SERVICE_TOKEN"], "openstack-api-version": "placement 1.39"}
    with httpx.Client(base_url=f"{cloud.control_url}/placement", headers=headers) as client:
        yield client
    cloud.close()


def provider(client, name, parent=None):
    made = client.post("/resource_providers", json={"name": name, "parent_provider_uuid": parent}).json()
    stock = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}}}
    client.put(f"/resource_providers/{made['uuid']}/inventories", json=stock).raise_for_status()
    return made["uuid"]


def test_the_choices_hold(client):
    hosts = [provider(client, f"host-{number}") for number in range(2)]
    for host in hosts:
        provider(client, f"below-{host}", host)

    def roots(query):
        body = client.get(f"/allocation_candidates?resources=VCPU:1{query}").json()
        shown = body["provider_summaries"]
        return [shown[next(iter(each["allocations"]))]["root_provider_uuid"] for each in body["allocation_requests"]]

    assert sorted(roots("")) == sorted([*hosts, hosts[0]])
    assert {roots("&limit=1")[0] for _ in range(64)} == set(hosts)
    old = {"openstack-api-version": "placement 1.7"}
    claim = {"allocations": [{"resource_provider": {"uuid": hosts[0]}, "resources": {"VCPU": 1}}]}
    assert client.put(f"/allocations/{CONSUMER}", json=claim, headers=old).status_code == 204
    assert client.get(f"/allocations/{CONSUMER}").json()["project_id"] == NOBODY
