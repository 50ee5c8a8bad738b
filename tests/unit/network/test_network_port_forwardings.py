# SPDX-License-Identifier: Apache-2.0
"""What the router of a floating IP is told of its port forwardings."""

from __future__ import annotations

import httpx
import pytest

from cumulet.kernel.audit import Look
from cumulet.services.network import audit
from cumulet.services.network.logic import concern, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.store import common
from cumulet.services.network.types import FloatingIp, ForwardState
from cumulet.services.network.types.port_forwardings import PortForwarding
from support.people import environment
from support.waiting import until


@pytest.fixture(scope="module")
def client(cloud):
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as found:
        yield found


def made(client: httpx.Client, kind: str, path: str = "", **words: object) -> dict:
    answer = client.post(path or f"/{kind}s", json={kind: words})
    assert answer.status_code == 201, answer.text
    return answer.json()[kind]


@pytest.fixture(scope="module")
def port(client):
    """A port behind a router with a gateway; the outside network is `outside` of it."""
    outside = made(client, "network", **{"router:external": True})["id"]
    made(client, "subnet", network_id=outside, ip_version=4, cidr="198.51.100.0/24", enable_dhcp=False)
    inside = made(client, "network")["id"]
    subnet = made(client, "subnet", network_id=inside, ip_version=4, cidr="10.5.0.0/24")["id"]
    router = made(client, "router", external_gateway_info={"network_id": outside})["id"]
    assert client.put(f"/routers/{router}/add_router_interface", json={"subnet_id": subnet}).status_code == 200
    found = made(client, "port", network_id=inside, fixed_ips=[{"ip_address": "10.5.0.9"}])
    return {**found, "outside": outside, "router": router}


@pytest.fixture
def floating(client, port):
    return made(client, "floatingip", floating_network_id=port["outside"])


def forwarded(client: httpx.Client, port: dict, floating: dict, **words: object) -> dict:
    inner = {"internal_port_id": port["id"], "internal_ip_address": "10.5.0.9"}
    return made(client, "port_forwarding", f"/floatingips/{floating['id']}/port_forwardings", **inner, **words)


def told(cloud, port: dict) -> list[ForwardState]:
    state = compile_host(snapshot.take(cloud.control.cloud, cloud.settings.host))
    return next(router.forwards for router in state.routers if router.id == port["router"])


def test_the_router_is_told_of_ports(cloud, client, port, floating):
    tcp = forwarded(client, port, floating, protocol="tcp", internal_port=80, external_port=8080)
    wide = {"internal_port_range": "3000:3010", "external_port_range": "2000:2010"}
    udp = forwarded(client, port, floating, protocol="udp", **wide)
    none = forwarded(client, port, floating, protocol="icmp", internal_port=1, external_port=1)
    outside, inside = floating["floating_ip_address"], "10.5.0.9"
    wanted = {
        tcp["id"]: ForwardState(
            address=outside, protocol="tcp", low=8080, high=8080, fixed=inside, fixed_low=80, fixed_high=80
        ),
        udp["id"]: ForwardState(
            address=outside, protocol="udp", low=2000, high=2010, fixed=inside, fixed_low=3000, fixed_high=3010
        ),
    }
    assert told(cloud, port) == [wanted[key] for key in sorted(wanted)]
    db = cloud.control.cloud.db
    assert concern.of(db, PortForwarding, [tcp["id"]]) == {cloud.settings.host}
    for each in (tcp, udp, none):
        client.delete(f"/floatingips/{floating['id']}/port_forwardings/{each['id']}")
    assert told(cloud, port) == []


def test_a_floating_ip_without_a_router_for_its_ports_is_found(cloud, client, port, floating):
    made_one = forwarded(client, port, floating, protocol="tcp", internal_port=22, external_port=22)
    db = cloud.control.cloud.db

    def found() -> set[str]:
        return {each.subject for each in audit.audit(Look(cloud.control.cloud, "network"))}

    until(lambda: floating["id"] not in found())
    db.write(lambda tx: common.set_quietly(tx, FloatingIp, [floating["id"]], {"router_id": None}))
    assert floating["id"] in found()
    db.write(lambda tx: common.set_quietly(tx, FloatingIp, [floating["id"]], {"router_id": port["router"]}))
    client.delete(f"/floatingips/{floating['id']}/port_forwardings/{made_one['id']}")
    db.write(lambda tx: common.set_quietly(tx, FloatingIp, [floating["id"]], {"router_id": port["router"]}))
    assert floating["id"] in found(), "a router for nothing"
    db.write(lambda tx: common.set_quietly(tx, FloatingIp, [floating["id"]], {"router_id": None}))
