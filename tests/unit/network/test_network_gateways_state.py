# SPDX-License-Identifier: Apache-2.0
"""What a router's host is told of several gateways, and how it tells them apart."""

from __future__ import annotations

import uuid

import httpx
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cumulet.services.network.drivers.fabric import gateways
from cumulet.services.network.logic import snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.types import GatewayState, LegState, RouterState
from support.people import environment


def test_addresses_are_told_with_the_gateway_that_they_belong_to(cloud):
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    control, host = cloud.control.cloud, cloud.settings.host
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as client:

        def make(kind: str, **words: object) -> dict:
            answer = client.post(f"/{kind}s", json={kind: words})
            assert answer.status_code == 201, answer.text
            return answer.json()[kind]

        outsides = [make("network", **{"router:external": True})["id"] for _ in range(2)]
        for number, outside in enumerate(outsides):
            make("subnet", network_id=outside, ip_version=4, cidr=f"203.0.{113 + number}.0/24")
        inside = make("network")["id"]
        subnet = make("subnet", network_id=inside, ip_version=4, cidr="10.66.0.0/24")["id"]
        ports = [make("port", network_id=inside)["id"] for _ in range(2)]
        router = make("router", enable_default_route_ecmp=True, enable_default_route_bfd=True)["id"]
        client.put(f"/routers/{router}/add_router_interface", json={"subnet_id": subnet})

        def told(wanted: list[str]) -> RouterState:
            body = {"router": {"external_gateways": [{"network_id": key} for key in wanted]}}
            assert client.put(f"/routers/{router}/update_external_gateways", json=body).status_code == 200
            state = compile_host(snapshot.take(control, host))
            return next(one for one in state.routers if one.id == router)

        first = told(outsides[:1])
        assert first.more_gateways == []
        assert not first.ecmp, "one gateway shares with nobody"
        told(outsides)
        for outside, port in zip(outsides, ports, strict=True):
            make("floatingip", floating_network_id=outside, port_id=port)
        both = told(outsides)
        assert [way.leg.network_id for way in both.gateways] == outsides
        assert [way.nexthops for way in both.gateways] == [["203.0.113.1"], ["203.0.114.1"]]
        assert both.ecmp
        assert (first.bfd, both.bfd, both.silent) == (True, True, [])
        belongs = {each.address.rsplit(".", 1)[0]: each.gateway for each in both.floating}
        assert belongs == {"203.0.113": "", "203.0.114": both.more_gateways[0].leg.port_id}
        turned = told(outsides[::-1])
        belongs = {each.address.rsplit(".", 1)[0]: each.gateway for each in turned.floating}
        assert belongs == {"203.0.114": "", "203.0.113": turned.more_gateways[0].leg.port_id}
        for floating in client.get("/floatingips", params={"router_id": router}).json()["floatingips"]:
            client.delete(f"/floatingips/{floating['id']}")
        client.put(f"/routers/{router}/remove_router_interface", json={"subnet_id": subnet})
        assert client.delete(f"/routers/{router}").status_code == 204


def test_settings_say_what_nobody_says(cloud, monkeypatch):
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    names = ("enable_default_route_ecmp", "enable_default_route_bfd")
    control = cloud.control.cloud
    network = msgspec.structs.replace(control.settings.network, **dict.fromkeys(names, True))
    monkeypatch.setattr(control, "settings", msgspec.structs.replace(control.settings, network=network))
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0/routers", headers=headers, timeout=30) as client:
        for said, wanted in (({}, True), (dict.fromkeys(names), True), (dict.fromkeys(names, False), False)):
            made = client.post("", json={"router": said}).json()["router"]
            assert [made[name] for name in names] == [wanted, wanted]
            assert client.delete(f"/{made['id']}").status_code == 204


ways = st.lists(
    st.builds(
        GatewayState,
        leg=st.builds(
            LegState,
            port_id=st.one_of(st.uuids().map(str), st.integers(0, 3).map(lambda low: str(uuid.UUID(int=low)))),
            network_id=st.just("n"),
            mac=st.just(""),
            addresses=st.just([]),
        ),
    ),
    max_size=8,
    unique_by=lambda way: way.leg.port_id,
)


@given(ways)
def test_each_gateway_has_a_number_of_its_own(found: list[GatewayState]):
    router = RouterState(id="r", gateway=found[0] if found else None, more_gateways=found[1:])
    numbers = gateways.numbers(router)
    assert len(set(numbers.values())) == len(numbers) == (len(found) if len(found) > 1 else 0)
    assert all(1 <= number <= 4095 for number in numbers.values())
    turned = msgspec.structs.replace(router, gateway=None, more_gateways=found[::-1])
    assert gateways.numbers(turned) == numbers, "whichever is the first"
