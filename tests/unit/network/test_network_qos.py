# SPDX-License-Identifier: Apache-2.0
"""QoS beyond single requests: what others hear of rules, and what hosts of several kinds can be held to."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from cumulet.kernel.db.outbox import Event
from cumulet.services.network.logic import agents, concern, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.logic.hosting.qos import shapes_of
from cumulet.services.network.store import common
from cumulet.services.network.types import HostReport, QosRule, Router, ShapeState, qos
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

OTHER_DRIVER = {"driver": "modest", "qos_rules": [qos.DSCP_MARKING]}


@pytest.fixture
def client(cloud: RunningCloud) -> Iterator[httpx.Client]:
    """The administrator."""
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers) as made:
        yield made


@pytest.fixture
def modest(cloud: RunningCloud, client: httpx.Client) -> Iterator[str]:
    """A host whose driver knows marks alone."""
    control, host = cloud.control.cloud, "modest-host"
    control.db.write(lambda tx: agents.joined(tx, host, HostReport(gateway=False, capabilities=OTHER_DRIVER)))
    yield host
    for found in client.get("/agents", params={"host": host}).json()["agents"]:
        client.delete(f"/agents/{found['id']}")


def made(client: httpx.Client, path: str, body: dict[str, object]) -> str:
    """The id of what is made of the body of one resource."""
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()[next(iter(body))]["id"])


def types(client: httpx.Client, **query: str) -> list[str]:
    return [one["type"] for one in client.get("/qos/rule-types", params=query).json()["rule_types"]]


def test_a_rules_life_is_told(cloud: RunningCloud, client: httpx.Client) -> None:
    heard: list[Event] = []
    for prefix in ("policy", "bandwidth_limit_rule"):
        cloud.control.cloud.outbox.subscribe(prefix, heard.append)
    policy = made(client, "/qos/policies", {"policy": {"name": "told"}})
    path = f"/qos/policies/{policy}/bandwidth_limit_rules"
    rule = made(client, path, {"bandwidth_limit_rule": {"max_kbps": 5}})
    client.put(f"{path}/{rule}", json={"bandwidth_limit_rule": {"max_kbps": 6}})
    client.delete(f"{path}/{rule}")
    client.delete(f"/qos/policies/{policy}")
    until(lambda: heard and heard[-1].topic == "policy.delete.end")
    told = (
        "policy.create",
        *(f"bandwidth_limit_rule.{verb}" for verb in ("create", "update", "delete")),
        "policy.delete",
    )
    assert [one.topic for one in heard] == [f"{topic}.{moment}" for topic in told for moment in ("start", "end")]
    assert heard[2].payload == {"bandwidth_limit_rule": {"max_kbps": 5}}
    assert heard[4].payload == {"bandwidth_limit_rule": {"max_kbps": 6}, "id": rule}
    assert heard[6].payload == {"bandwidth_limit_rule_id": rule}
    words = {"id": rule, "max_kbps": 6, "max_burst_kbps": 0, "direction": "egress"}
    assert heard[5].payload == {"bandwidth_limit_rule": words}
    assert heard[7].payload == {"bandwidth_limit_rule_id": rule, "bandwidth_limit_rule": words}


def test_tags_and_quotas_are_told(cloud: RunningCloud, client: httpx.Client) -> None:
    heard: list[Event] = []
    for prefix in ("tag", "quota"):
        cloud.control.cloud.outbox.subscribe(prefix, heard.append)
    wire = made(client, "/networks", {"network": {"name": "told"}})
    client.put(f"/networks/{wire}/tags", json={"tags": ["red"]})
    client.put(f"/networks/{wire}/tags/blue")
    client.delete(f"/networks/{wire}/tags/blue")
    client.delete(f"/networks/{wire}/tags")
    client.put(f"/quotas/{wire}", json={"quota": {"port": 7}})
    client.delete(f"/quotas/{wire}")
    client.delete(f"/networks/{wire}")
    until(lambda: heard and heard[-1].topic == "quota.delete.end")
    verbs = ("tag.update", "tag.create", "tag.delete", "tag.delete_all", "quota.update", "quota.delete")
    assert [one.topic for one in heard] == [f"{verb}.{moment}" for verb in verbs for moment in ("start", "end")]
    tagged = {"obj_resource": "networks", "obj_resource_id": wire}
    assert heard[1].payload == {**tagged, "tags": ["red"]}
    assert heard[7].payload == tagged
    assert heard[9].payload["quota"]["port"] == 7


def test_rule_types_are_what_drivers_can_do(client: httpx.Client, modest: str) -> None:
    assert types(client) == [qos.DSCP_MARKING]
    assert types(client, all_supported="true") == list(qos.PARAMETERS)
    assert types(client, all_rules="true") == list(qos.PARAMETERS)
    shown = client.get(f"/qos/rule-types/{qos.DSCP_MARKING}").json()["rule_type"]
    assert [driver["name"] for driver in shown["drivers"]] == ["fake", "modest"]
    shown = client.get(f"/qos/rule-types/{qos.PACKET_RATE_LIMIT}").json()["rule_type"]
    assert [driver["name"] for driver in shown["drivers"]] == ["fake"]


def test_a_port_is_refused_rules_that_its_host_cannot_hold(client: httpx.Client, modest: str) -> None:
    policy = made(client, "/qos/policies", {"policy": {"name": "limits"}})
    path = f"/qos/policies/{policy}/bandwidth_limit_rules"
    wire = made(client, "/networks", {"network": {"name": "wire"}})
    port = made(client, "/ports", {"port": {"network_id": wire, "qos_policy_id": policy, "binding:host_id": modest}})
    refused = client.post(path, json={"bandwidth_limit_rule": {"max_kbps": 5}})
    assert refused.status_code == 409
    assert refused.json()["NeutronError"]["type"] == "QosRuleNotSupported"
    made(client, f"/qos/policies/{policy}/dscp_marking_rules", {"dscp_marking_rule": {"dscp_mark": 8}})
    client.put(f"/ports/{port}", json={"port": {"binding:host_id": ""}})
    made(client, path, {"bandwidth_limit_rule": {"max_kbps": 5}})
    for gone in (f"/ports/{port}", f"/networks/{wire}", f"/qos/policies/{policy}"):
        assert client.delete(gone).status_code == 204


def test_a_hosts_state_says_what_its_ports_are_held_to(cloud: RunningCloud, client: httpx.Client, modest: str) -> None:
    db = cloud.control.cloud.db
    own, inherited = (made(client, "/qos/policies", {"policy": {"name": name}}) for name in ("own", "inherited"))
    mark = made(client, f"/qos/policies/{own}/dscp_marking_rules", {"dscp_marking_rule": {"dscp_mark": 8}})
    made(client, f"/qos/policies/{inherited}/dscp_marking_rules", {"dscp_marking_rule": {"dscp_mark": 10}})
    wire = made(client, "/networks", {"network": {"name": "wire", "qos_policy_id": inherited}})
    place = {"network_id": wire, "binding:host_id": modest, "device_owner": "compute:nova", "device_id": "nobody"}
    port = made(client, "/ports", {"port": place})

    def shapes() -> list[ShapeState]:
        return compile_host(snapshot.take(cloud.control.cloud, modest)).ports[0].shapes

    assert shapes() == [ShapeState(type=qos.DSCP_MARKING, direction=qos.EGRESS, rate=10)]
    client.put(f"/ports/{port}", json={"port": {"qos_policy_id": own}})
    assert shapes() == [ShapeState(type=qos.DSCP_MARKING, direction=qos.EGRESS, rate=8)]
    assert concern.of(db, QosRule, [mark]) == {modest}
    client.delete(f"/qos/policies/{own}/dscp_marking_rules/{mark}")
    assert shapes() == []
    for gone in (f"/ports/{port}", f"/networks/{wire}", f"/qos/policies/{own}", f"/qos/policies/{inherited}"):
        assert client.delete(gone).status_code == 204


def test_a_hosts_state_says_what_external_addresses_are_held_to(cloud: RunningCloud, client: httpx.Client) -> None:
    control = cloud.control.cloud
    slow, fast = (made(client, "/qos/policies", {"policy": {"name": name}}) for name in ("slow", "fast"))
    rules = {}
    for policy, rate in ((slow, 5), (fast, 50)):
        body = {"bandwidth_limit_rule": {"max_kbps": rate}}
        rules[policy] = made(client, f"/qos/policies/{policy}/bandwidth_limit_rules", body)
        made(client, f"/qos/policies/{policy}/dscp_marking_rules", {"dscp_marking_rule": {"dscp_mark": 8}})
    wide = made(client, "/qos/policies", {"policy": {"name": "wide"}})
    mark = made(client, f"/qos/policies/{wide}/dscp_marking_rules", {"dscp_marking_rule": {"dscp_mark": 10}})
    outer = made(client, "/networks", {"network": {"name": "outer", "router:external": True, "qos_policy_id": wide}})
    cidr = {"ip_version": 4, "cidr": "198.19.7.0/24", "enable_dhcp": False}
    made(client, "/subnets", {"subnet": {"network_id": outer, **cidr}})
    inner = made(client, "/networks", {"network": {"name": "inner"}})
    subnet = made(client, "/subnets", {"subnet": {"network_id": inner, "ip_version": 4, "cidr": "10.66.0.0/24"}})
    port = made(client, "/ports", {"port": {"network_id": inner}})
    gateway = {"network_id": outer, "qos_policy_id": slow}
    router = made(client, "/routers", {"router": {"name": "edge", "external_gateway_info": gateway}})
    client.put(f"/routers/{router}/add_router_interface", json={"subnet_id": subnet})
    floating = made(
        client, "/floatingips", {"floatingip": {"floating_network_id": outer, "port_id": port, "qos_policy_id": fast}}
    )
    address = client.get(f"/floatingips/{floating}").json()["floatingip"]["floating_ip_address"]
    info = client.get(f"/routers/{router}").json()["router"]["external_gateway_info"]
    row = common.find(control.db, Router, router)
    assert row is not None
    state = next(one for one in compile_host(snapshot.take(control, row.host)).routers if one.id == router)
    assert state.shapes == {
        "": [ShapeState(type=qos.DSCP_MARKING, direction=qos.EGRESS, rate=10)],
        info["external_fixed_ips"][0]["ip_address"]: [_limit(5)],
        address: [_limit(50)],
    }
    assert concern.of(control.db, QosRule, [mark]) == {row.host}
    assert concern.of(control.db, QosRule, [rules[slow]]) == {row.host}
    assert concern.of(control.db, QosRule, [rules[fast]]) == {row.host}
    assert client.delete(f"/floatingips/{floating}").status_code == 204
    client.put(f"/routers/{router}/remove_router_interface", json={"subnet_id": subnet})
    things = (f"/routers/{router}", f"/ports/{port}", f"/networks/{inner}", f"/networks/{outer}")
    for gone in (*things, *(f"/qos/policies/{policy}" for policy in (slow, fast, wide))):
        assert client.delete(gone).status_code == 204


def _limit(rate: int) -> ShapeState:
    return ShapeState(type=qos.BANDWIDTH_LIMIT, direction=qos.EGRESS, rate=rate)


def test_limits_are_shapes_and_minimums_are_not() -> None:
    def rule(type_: str, direction: str, **amounts: int) -> QosRule:
        nothing = dict.fromkeys(QosRule.__struct_fields__)
        return QosRule(**{**nothing, "type": type_, "direction": direction, **amounts})

    assert shapes_of(
        [
            rule(qos.BANDWIDTH_LIMIT, qos.INGRESS, max_kbps=900, max_burst_kbps=90),
            rule(qos.MINIMUM_BANDWIDTH, qos.EGRESS, min_kbps=3),
            rule(qos.MINIMUM_PACKET_RATE, qos.ANY, min_kpps=3),
            rule(qos.PACKET_RATE_LIMIT, qos.EGRESS, max_kpps=3, max_burst_kpps=0),
        ]
    ) == [
        ShapeState(type=qos.BANDWIDTH_LIMIT, direction=qos.INGRESS, rate=900, burst=90),
        ShapeState(type=qos.PACKET_RATE_LIMIT, direction=qos.EGRESS, rate=3),
    ]
