# SPDX-License-Identifier: Apache-2.0
"""Whatever a body holds, the answer is the caller's fault or a resource, never a bug."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from cumulet.services.network.api.attributes import Attributes
from cumulet.services.network.api.floating_ips import FLOATING_IPS
from cumulet.services.network.api.networks import NETWORKS
from cumulet.services.network.api.ports import PORTS
from cumulet.services.network.api.routers import ROUTERS
from cumulet.services.network.api.security_groups import SECURITY_GROUP_RULES, SECURITY_GROUPS
from cumulet.services.network.api.subnets import SUBNETS
from cumulet.services.network.api.trunks import TRUNKS
from support.people import environment

NASTY: list[Any] = [
    None, True, -1, 1.5, 2**70, "", "x", "\u0000", "x" * 300, "\uff11", [],
    [None], ["x"], [{}], [{"x": None}], {}, {"x": 1},
    {"network_id": "x", "enable_snat": "x"},
    {"network_id": "00000000-0000-4000-8000-000000000000", "external_fixed_ips": [{"ip_address": 5}]},
    "10.0.0.1/33", "0.0.0.0/0", "fe80::%eth0/64", "10.0.0.1", "fe80::1%x", "::", "01:00:5e:00:00:01",
    [{"start": "10.0.0.5", "end": "::1"}], [{"start": 1, "end": 2}], [{"start": "10.0.0.9", "end": "10.0.0.5"}],
    [{"destination": "10.0.0.0/8", "nexthop": "x"}], [{"destination": 1, "nexthop": 2}], [{"ip_address": "10.77.0.9"}],
    [{"ip_address": ["x"]}], [{"subnet_id": 1}], [{"ip_address": "10.0.0.0/33"}], [{"ip_address": "::/0"}],
    [{"ip_address": "0.0.0.0/0", "mac_address": 7}], [{"opt_name": "x", "opt_value": "y", "ip_version": "z"}],
    "IPv6", 256, 6, "slaac", "flat", 70000,
]  # fmt: skip
CREATED = (NETWORKS, SUBNETS, PORTS, ROUTERS, FLOATING_IPS, SECURITY_GROUPS, SECURITY_GROUP_RULES, TRUNKS)


@pytest.fixture(scope="module")
def client(cloud):
    words = environment(cloud)
    headers = {"x-auth-token": words["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as found:
        yield found


@pytest.fixture(scope="module")
def base(client):
    """A body of each kind that is taken."""
    network = client.post("/networks", json={"network": {}}).json()["network"]["id"]
    outside = client.post("/networks", json={"network": {"router:external": True}}).json()["network"]["id"]
    cidrs = itertools.count()

    def subnet() -> dict[str, Any]:
        return {"network_id": network, "ip_version": 4, "cidr": f"10.77.{next(cidrs) % 250}.0/24"}

    client.post("/subnets", json={"subnet": subnet()})
    group = client.post("/security-groups", json={"security_group": {}}).json()["security_group"]["id"]
    parent = client.post("/ports", json={"port": {"network_id": network}}).json()["port"]["id"]
    return {
        "network": dict,
        "subnet": subnet,
        "port": lambda: {"network_id": network},
        "router": dict,
        "floatingip": lambda: {"floating_network_id": outside},
        "security_group": dict,
        "security_group_rule": lambda: {"security_group_id": group, "direction": "ingress", "protocol": "tcp"},
        "trunk": lambda: {"port_id": parent},
    }


def settable(attributes: Attributes, verb: str) -> list[str]:
    return [name for name, one in attributes.items() if (one.post if verb == "post" else one.put)]


def fine(answer: httpx.Response) -> bool:
    return answer.status_code < 500 and ("NeutronError" in answer.text or answer.status_code < 300)


@pytest.mark.in_turn
@pytest.mark.parametrize("resource", CREATED, ids=lambda resource: resource.name)
def test_no_value_of_any_attribute_is_a_bug(client, base, resource):
    wrong = []
    for name in settable(resource.attributes, "post"):
        for value in NASTY:
            body = {**base[resource.name](), name: value}
            answer = client.post(resource.path, json={resource.name: body})
            if not fine(answer):
                wrong.append((name, value, answer.text))
            elif answer.status_code == 201:
                key = answer.json()[resource.name]["id"]
                assert client.delete(f"{resource.path}/{key}").status_code == 204
    assert wrong == []


@pytest.mark.in_turn
@pytest.mark.parametrize("resource", [one for one in CREATED if one.update is not None], ids=lambda one: one.name)
def test_no_change_of_any_attribute_is_a_bug(client, base, resource):
    made = client.post(resource.path, json={resource.name: base[resource.name]()})
    if resource is FLOATING_IPS:
        assert made.status_code == 400, "the external network has no subnet here"
        return
    path = f"{resource.path}/{made.json()[resource.name]['id']}"
    values = itertools.product(settable(resource.attributes, "put"), NASTY)
    answers = [(name, value, client.put(path, json={resource.name: {name: value}})) for name, value in values]
    assert [(name, value, one.text) for name, value, one in answers if not fine(one)] == []
    client.delete(path)


@pytest.mark.in_turn
@pytest.mark.parametrize("resource", CREATED, ids=lambda resource: resource.name)
def test_no_query_is_a_bug(client, resource):
    texts = [value for value in NASTY if isinstance(value, str) and "\ud7ff" not in value]
    names = [
        *resource.attributes,
        *resource.filters,
        "limit",
        "marker",
        "fields",
        "sort_key",
        "sort_dir",
        "page_reverse",
    ]
    answers = [(name, value, client.get(resource.path, params={name: value})) for name in names for value in texts]
    assert [(name, value, one.text) for name, value, one in answers if not fine(one)] == []


@pytest.mark.in_turn
@pytest.mark.parametrize(
    "action", ["add_router_interface", "remove_router_interface", "add_extraroutes", "remove_extraroutes"]
)
def test_no_action_is_a_bug(client, action):
    key = client.post("/routers", json={"router": {}}).json()["router"]["id"]
    bodies = [*NASTY, *({name: value} for name in ("port_id", "subnet_id", "router") for value in NASTY)]
    answers = [(body, client.put(f"/routers/{key}/{action}", json=body)) for body in bodies]
    assert [(body, one.text) for body, one in answers if not fine(one)] == []
