# SPDX-License-Identifier: Apache-2.0
"""Distributed routers in the control plane: what each host is told of them, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_network_hosts import ENDPOINTS, TwoFakeHosts

from cumulet.services.network.logic import trace
from cumulet.services.network.store import common
from cumulet.services.network.types import Port, RouterState
from support.waiting import until

OTHER = {"host-1": "host-2", "host-2": "host-1"}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoFakeHosts]:
    with pytest.MonkeyPatch.context() as patch:
        place = TwoFakeHosts(tmp_path_factory.mktemp("dvr"), patch)
        yield place
        place.end_second()
        place.running.close()


def part(two: TwoFakeHosts, host: str, router: str) -> RouterState | None:
    return next((one for one in two.state(host).routers if one.id == router), None)


def path(two: TwoFakeHosts, port_id: str, to: str) -> list[str]:
    """What a ping of the port's would meet on its way."""
    found = common.find(two.cloud.db, Port, port_id)
    assert found is not None
    return trace.path(two.cloud, found, to, "", "")


def owners(two: TwoFakeHosts, router: str) -> list[str]:
    ports = two.api("GET", f"ports?device_id={router}", admin=True)["ports"]
    return sorted(port["device_owner"].removeprefix("network:") for port in ports)


class Spread:
    """A router between two networks, one with a guest on each host, the other with one on the second alone."""

    def __init__(self, two: TwoFakeHosts, first: int) -> None:
        self.two = two
        self.networks = [two.make_network(first), two.make_network(first + 1)]
        self.guests = [two.boot(self.networks[0], "host-1"), two.boot(self.networks[1], "host-2")]
        public = two.api("POST", "networks", {"network": {"name": "out", "router:external": True}}, admin=True)
        self.public = public["network"]["id"]
        subnet = {"network_id": self.public, "ip_version": 4, "cidr": f"198.51.{first}.0/24", "enable_dhcp": False}
        two.api("POST", "subnets", {"subnet": subnet}, admin=True)
        body = {"project_id": two.words["PROJECT_ID"], "distributed": True}
        self.router: str = two.api("POST", "routers", {"router": body}, admin=True)["router"]["id"]
        self.legs = [self._join(network) for network in self.networks]

    def _join(self, network: str) -> dict[str, Any]:
        subnet = self.two.api("GET", f"networks/{network}")["network"]["subnets"][0]
        found: dict[str, Any] = self.two.api(
            "PUT", f"routers/{self.router}/add_router_interface", {"subnet_id": subnet}
        )
        return found

    def lead_out(self) -> None:
        info = {"external_gateway_info": {"network_id": self.public}}
        self.two.api("PUT", f"routers/{self.router}", {"router": info})

    def remove(self) -> None:
        self.two.api("PUT", f"routers/{self.router}", {"router": {"external_gateway_info": None}})
        for leg in self.legs:
            self.two.api("PUT", f"routers/{self.router}/remove_router_interface", {"port_id": leg["port_id"]})
        self.two.api("DELETE", f"routers/{self.router}")
        for guest in self.guests:
            self.two.api("DELETE", f"ports/{guest.id}", admin=True)
        until(lambda: self.two.state("host-1").networks == [] and self.two.state("host-2").networks == [])


def test_each_host_has_its_part(two: TwoFakeHosts):
    spread = Spread(two, 31)
    assert owners(two, spread.router) == ["router_interface_distributed"] * 2
    until(lambda: all(part(two, host, spread.router) is not None for host in ENDPOINTS))
    until(lambda: all(len(part(two, host, spread.router).legs) == 2 for host in ENDPOINTS))
    for host in ENDPOINTS:
        mine = part(two, host, spread.router)
        assert mine is not None
        assert mine.distributed is not None
        until(lambda host=host: {leg["port_id"] for leg in spread.legs} <= two.remotes(host).keys())
        told = [one for one in two.state(host).remotes if one.router == spread.router]
        assert {one.endpoint for one in told} == {ENDPOINTS[OTHER[host]]}
    for guest, host in zip(spread.guests, ("host-2", "host-1"), strict=True):
        assert guest.id in two.remotes(host), "whom it routes to it has to know, on networks without ports of its own"

    central = two.hosts_of(spread.legs[0]).pop()
    assert [part(two, host, spread.router).distributed.central for host in (central, OTHER[central])] == [True, False]
    there = spread.guests[1].addresses[0].address
    assert path(two, spread.guests[0].id, there)[-1] == "it arrives"
    spread.lead_out()
    expected = ["router_centralized_snat"] * 2 + ["router_gateway"] + ["router_interface_distributed"] * 2
    assert owners(two, spread.router) == expected
    until(lambda: part(two, central, spread.router).gateway is not None)
    until(lambda: len(part(two, OTHER[central], spread.router).distributed.snat) == 2)
    edge = part(two, OTHER[central], spread.router)
    assert edge is not None
    assert edge.gateway is None, "nothing of the outside is there"
    snat = {leg.port_id for leg in edge.distributed.snat}
    until(lambda: snat <= two.remotes(OTHER[central]).keys())

    inside = spread.guests[0] if OTHER[central] == "host-1" else spread.guests[1]
    stations = path(two, inside.id, "192.0.2.1")
    assert f"router {spread.router} sends it to its central host" in stations
    assert stations[-1] == "it arrives"
    body = {"floating_network_id": spread.public, "port_id": inside.id}
    floating = two.api("POST", "floatingips", {"floatingip": body})["floatingip"]
    until(lambda: [one.address for one in part(two, OTHER[central], spread.router).floating] != [])
    edge, center = part(two, OTHER[central], spread.router), part(two, central, spread.router)
    other = next(guest for guest in spread.guests if guest.id != inside.id)
    assert path(two, other.id, "192.0.2.1")[-1] == "it arrives"
    stations = path(two, inside.id, "192.0.2.1")
    assert f"router {spread.router} sends it to its central host" not in stations, "it has its own way"
    assert stations[-1] == "it arrives"
    assert [one.address for one in edge.floating] == [floating["floating_ip_address"]]
    assert center.floating == []
    assert edge.gateway.leg.addresses == []
    assert edge.gateway.leg.mac != center.gateway.leg.mac
    assert edge.distributed.outside == ["198.51.31.0/24"]

    two.bind(inside.id, central)
    until(lambda: [one.address for one in part(two, central, spread.router).floating] != [])
    until(lambda: part(two, OTHER[central], spread.router) is None)
    two.api("DELETE", f"floatingips/{floating['id']}")
    spread.remove()


def test_the_ports_of_the_central_host_come_and_go_with_what_they_are_for(two: TwoFakeHosts):
    spread = Spread(two, 41)
    spread.lead_out()
    two.refused(400, "PUT", f"routers/{spread.router}", {"router": {"distributed": False}})
    two.api("PUT", f"routers/{spread.router}", {"router": {"admin_state_up": False}})
    two.api("PUT", f"routers/{spread.router}", {"router": {"distributed": False}}, admin=True)
    assert owners(two, spread.router) == ["router_gateway", "router_interface", "router_interface"]
    until(lambda: sum(part(two, host, spread.router) is not None for host in ENDPOINTS) == 1)
    two.api("PUT", f"routers/{spread.router}", {"router": {"distributed": True}}, admin=True)
    assert owners(two, spread.router).count("router_centralized_snat") == 2
    two.api("PUT", f"routers/{spread.router}", {"router": {"external_gateway_info": None}})
    assert owners(two, spread.router) == ["router_interface_distributed"] * 2
    spread.remove()
