# SPDX-License-Identifier: Apache-2.0
"""Routers with several gateways, and several routes to one place."""

from __future__ import annotations

import os
import uuid

import msgspec
import pytest
from network_labs import BRIEF, HOST_ADDRESS, FabricLab, Lab, eventually
from network_roads import (
    AT_EAST,
    AT_WEST,
    BY_EAST,
    BY_PUBLIC,
    BY_WEST,
    FAR,
    FAR6,
    FLOATED,
    PLAIN,
    PORT,
    ROUTER,
    STATE,
    arrivals,
    comes_in,
    lead_far,
    leg,
    port,
    roads_lab,
    route,
    state,
    two_ways,
)
from pyroute2 import IPRoute

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import FloatingState, NetworkState, Route

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")


@pytest.fixture
def roads():
    with roads_lab() as lab:
        yield lab


@pytest.mark.root
def test_the_second_gateways_floating_address_is_reached(lab: Lab):
    floating = [FloatingState(address="198.18.4.20", fixed="10.1.0.12", gateway=BY_PUBLIC.leg.port_id)]
    assert lab.apply(state(1, more_gateways=[BY_PUBLIC], floating=floating)).failed == {}
    lab.boot(FLOATED)
    lab.boot(PLAIN)
    assert lab.ping(None, "198.18.4.20")
    assert lab.ping(FLOATED, HOST_ADDRESS.split("/")[0])
    assert lab.tcp(PLAIN, "198.18.4.20", PORT), "by a floating address from inside"
    assert not lab.ping(None, "198.18.4.30", tries=1)


@pytest.mark.root
@root
def test_each_address_leaves_by_its_own_gateway(roads):
    assert arrivals(roads, PLAIN, tries=6) == {("east", "203.0.113.10"): 6}, "the first gateway's default route alone"
    assert arrivals(roads, FLOATED, tries=6) == {("west", "198.51.100.20"): 6}
    assert arrivals(roads, PLAIN, FAR6, tries=4) == {("east", "fd00:1::11"): 4}
    assert roads.apply(two_ways(2)).changes == 0


@pytest.mark.root
@root
def test_what_came_in_goes_back_the_same_way(roads):
    assert comes_in(roads, AT_WEST, "198.51.100.20")
    assert comes_in(roads, AT_EAST, "203.0.113.30")
    assert comes_in(roads, AT_WEST, "198.51.100.30"), "the same guest by its address of the other gateway"
    assert comes_in(roads, AT_WEST, "198.51.100.40", 90), "a port that is forwarded"
    assert not comes_in(roads, AT_WEST, "198.51.100.40", 91)


@pytest.mark.root
@root
def test_all_default_routes_share_what_leaves(roads):
    assert roads.apply(two_ways(2, ecmp=True)).failed == {}
    found = arrivals(roads, PLAIN)
    assert found.keys() == {("east", "203.0.113.10"), ("west", "198.51.100.10")}
    assert arrivals(roads, PLAIN, FAR6).keys() == {("east", "fd00:1::11"), ("west", "fd00:1::11")}
    assert arrivals(roads, FLOATED, tries=6) == {("west", "198.51.100.20"): 6}, "what has an address keeps its gateway"
    assert roads.apply(two_ways(3, ecmp=True)).changes == 0
    assert roads.apply(two_ways(4)).changes > 0
    assert arrivals(roads, PLAIN, tries=6) == {("east", "203.0.113.10"): 6}


@pytest.mark.root
@root
def test_nothing_is_left_of_gateways_that_go(roads):
    assert roads.apply(state(2)).failed == {}
    assert Namespace(names.router_namespace(roads.mark, ROUTER.id)).visit(_chosen) == []
    assert roads.apply(state(3)).changes == 0
    assert arrivals(roads, FLOATED, tries=4) == {("east", "203.0.113.10"): 4}
    assert not comes_in(roads, AT_WEST, "198.51.100.20")
    assert roads.apply(state(4, gateway=BY_WEST)).failed == {}
    assert arrivals(roads, PLAIN, tries=4) == {("west", "198.51.100.10"): 4}


@pytest.mark.root
@root
def test_nobody_passes_through_from_one_outside_to_another(roads):
    open_ways = [msgspec.structs.replace(each, snat=False) for each in (BY_EAST, BY_WEST)]
    roads.apply(state(2, gateway=open_ways[0], more_gateways=[open_ways[1]]))
    assert len(Namespace(names.router_namespace(roads.mark, ROUTER.id)).visit(_chosen)) == 4
    lay = {"198.51.100.0/24": ("203.0.113.10", "eth0"), "fd00:f::/64": ("fd00:e::10", "eth0")}
    back = {"203.0.113.0/24": ("198.51.100.10", "eth0"), "fd00:e::/64": ("fd00:f::10", "eth0")}
    for key, routes in ((AT_EAST, lay), (AT_WEST, back)):
        roads.guests[key].space.visit(lambda routes=routes: route(routes))
    assert not roads.tcp(AT_EAST, "198.51.100.1", PORT, patience=BRIEF)
    inside = {"10.1.0.0/24": ("203.0.113.10", "eth0")}
    roads.guests[AT_EAST].space.visit(lambda: route(inside))
    assert roads.tcp(AT_EAST, "10.1.0.11", PORT), "inside is reached where nothing hides it"


def _chosen() -> list[int]:
    """The tables of routes that packets are sent to besides those of every namespace."""
    with IPRoute() as wire:
        found = [rule.get_attr("FRA_TABLE") for family in (2, 10) for rule in wire.get_rules(family=family)]
    return [table for table in found if table not in (253, 254, 255)]


@pytest.mark.root
@root
def test_routes_to_one_place_share_what_goes_there():
    """Two guests of an inside network lead to the same places."""
    far_net = str(uuid.uuid4())
    networks = [*STATE.networks, NetworkState(id=far_net, mtu=1450, segment=9)]
    ports = [
        STATE.ports[0],
        port(AT_EAST, far_net, "10.2.0.1/24", "fd00:2::1/64"),
        port(AT_WEST, far_net, "10.2.0.2/24", "fd00:2::2/64"),
    ]
    legs = [*ROUTER.legs, leg(far_net, 5, "10.2.0.254/24", "fd00:2::fe/64")]
    hops = {FAR: ("10.2.0.1", "10.2.0.2"), FAR6: ("fd00:2::1", "fd00:2::2")}
    routes = [
        Route(destination=f"{far}/{128 if ':' in far else 32}", nexthop=hop) for far, two in hops.items() for hop in two
    ]
    whole = state(1, gateway=None, legs=legs, routes=routes)
    whole = msgspec.structs.replace(whole, networks=networks, ports=ports)
    lab = FabricLab()
    try:
        assert lab.apply(whole).failed == {}
        for key in (PLAIN, AT_EAST, AT_WEST):
            lab.boot(key)
        for key in (AT_EAST, AT_WEST):
            lab.guests[key].space.visit(lead_far)
            back = {"10.1.0.0/24": ("10.2.0.254", "eth0"), "fd00:1::/64": ("fd00:2::fe", "eth0")}
            lab.guests[key].space.visit(lambda back=back: route(back))
        assert eventually(lambda: arrivals(lab, PLAIN).keys() == {("east", "10.1.0.11"), ("west", "10.1.0.11")}, 10)
        assert arrivals(lab, PLAIN, FAR6).keys() == {("east", "fd00:1::11"), ("west", "fd00:1::11")}
        assert lab.apply(msgspec.structs.replace(whole, generation=2)).changes == 0
        fewer = msgspec.structs.replace(whole.routers[0], routes=routes[1:])
        lab.apply(msgspec.structs.replace(whole, generation=3, routers=[fewer]))
        assert arrivals(lab, PLAIN, tries=6).keys() == {("west", "10.1.0.11")}
    finally:
        lab.close()
