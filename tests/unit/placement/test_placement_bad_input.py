# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to whichever route, the answer is a refusal and never an error of ours."""

from __future__ import annotations

import copy
import itertools
import json
import re

import httpx
import pytest

from cumulet.services.placement.api import API
from support.people import environment

HOST = "f0000000-0000-4000-8000-000000000001"
CONSUMER = "f0000000-0000-4000-8000-0000000000a1"
VALUES = (
    "", "%00", "%0A", "%E9", "-1", "99999999999999999999", "x" * 300, "VCPU:1%0A", "VCPU:%D9%A1", "VCPU:1e3", "in:",
    "!", "!in:", "in:!", ",", "in:,", "VCPU:1,VCPU:2", "_", "1,2", "HW_CPU_X86_VMX%0A",
)  # fmt: skip
NAMES = (
    "name", "uuid", "member_of", "resources", "in_tree", "required", "associated", "project_id", "user_id", "limit",
    "consumer_type", "group_policy", "root_required", "same_subtree", "resources1", "required1", "member_of1", "x",
)  # fmt: skip
_INVENTORIES = {"resource_provider_generation": 1, "inventories": {"VCPU": {"total": 4, "allocation_ratio": 1.5}}}
_WISH = {
    "allocations": {HOST: {"resources": {"VCPU": 1}}},
    "project_id": "p",
    "user_id": "u",
    "consumer_generation": None,
    "consumer_type": "TEST",
    "mappings": {"": [HOST]},
}
ODD = (
    None, True, -1, 1.0, 2**70, 1e300, "", "x" * 300, "CUSTOM_A\n", "\x00", [None], {}, {"x": None}, {"A\n": 1},
    {f"{CONSUMER}\n": _WISH}, {"-" * 36: {}},
)  # fmt: skip
BODIES = {
    ("POST", "/resource_providers"): {"name": "odd-one", "uuid": CONSUMER, "parent_provider_uuid": HOST},
    ("PUT", "/resource_providers/{uuid}"): {"name": "odd", "parent_provider_uuid": None},
    ("POST", "/resource_providers/{uuid}/inventories"): {"resource_class": "DISK_GB", "total": 1, "max_unit": 1},
    ("PUT", "/resource_providers/{uuid}/inventories"): _INVENTORIES,
    ("PUT", "/resource_providers/{uuid}/inventories/{resource_class}"): {"resource_provider_generation": 1, "total": 1},
    ("PUT", "/resource_providers/{uuid}/traits"): {"resource_provider_generation": 1, "traits": ["HW_CPU_X86_VMX"]},
    ("PUT", "/resource_providers/{uuid}/aggregates"): {"resource_provider_generation": 1, "aggregates": [CONSUMER]},
    ("POST", "/resource_classes"): {"name": "CUSTOM_ODD"},
    ("PUT", "/resource_classes/{name}"): {"name": "CUSTOM_ODDER"},
    ("POST", "/allocations"): {CONSUMER: _WISH},
    ("PUT", "/allocations/{consumer_uuid}"): _WISH,
    ("POST", "/reshaper"): {"inventories": {HOST: _INVENTORIES}, "allocations": {CONSUMER: _WISH}},
}


@pytest.fixture(scope="module")
def client(cloud):
    token = environment(cloud)["SERVICE_TOKEN"]
    headers = {"x-auth-token": token, "openstack-api-version": "placement latest", "content-type": "application/json"}
    with httpx.Client(base_url=f"{cloud.control_url}/placement", headers=headers) as client:
        client.post("/resource_providers", json={"name": "odd", "uuid": HOST})
        yield client


def path_of(route, odd=None):
    known = {"uuid": HOST, "consumer_uuid": CONSUMER, "resource_class": "VCPU", "name": "CUSTOM_ODD"}
    return re.sub(r"{(\w+)}", lambda match: odd or known[match[1]], route.path)


def mutations(body, odd):
    """`body` with each of its parts in turn replaced by `odd`."""
    yield odd
    parts = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, part in parts:
        for changed in mutations(part, odd):
            mutant = copy.deepcopy(body)
            mutant[key] = changed
            yield mutant


def test_every_body_has_a_sample():
    assert {(route.method, route.path) for route in API.routes if route.body is not None} == BODIES.keys()


@pytest.mark.in_turn
@pytest.mark.parametrize("version", ["1.6", "1.39"])
def test_odd_bodies(client, version):
    routes = {(route.method, path_of(route)): BODIES.get((route.method, route.path), {}) for route in API.routes}
    headers = {"openstack-api-version": f"placement {version}"}
    for ((method, path), sample), odd in itertools.product(routes.items(), ODD):
        for body in mutations(sample, odd) if method in ("POST", "PUT") else ():
            answer = client.request(method, path, content=json.dumps(body), headers=headers)
            assert answer.status_code < 500, (method, path, body, answer.text)


@pytest.mark.in_turn
@pytest.mark.parametrize("path", ["resource_providers", "traits", "usages", "allocation_candidates"])
def test_odd_queries(client, path):
    for name, value in itertools.product(NAMES, VALUES):
        further = "resources=VCPU:1&" if path == "allocation_candidates" and name != "resources" else ""
        answer = client.get(f"/{path}?{further}{name}={value}")
        assert answer.status_code < 500, (path, name, value, answer.text)


@pytest.mark.in_turn
def test_odd_names(client):
    for route, odd in itertools.product(
        API.routes, ("x", "%00", "%0A", "CUSTOM_A%0A", "%E9", "x" * 500, "..", "%2e%2e")
    ):
        if "{" in route.path:
            answer = client.request(route.method, path_of(route, odd))
            assert answer.status_code < 500, (route.method, route.path, odd, answer.text)
