# SPDX-License-Identifier: Apache-2.0
"""Which next hops are watched, what rules let through for that, and where default routes lead meanwhile."""

from __future__ import annotations

import msgspec

from cumulet.services.network.drivers.fabric import gateways, names, nat, routers, shapers, watched
from cumulet.services.network.types import GatewayState, LegState, RouterState, ShapeState

IDS = ("0a4f2c1e-0000", "1b5f2c1e-0000")
DEVICES = tuple(map(names.outer_leg, IDS))


def way(number: int, addresses: list[str], hops: list[str]) -> GatewayState:
    leg = LegState(port_id=IDS[number], network_id="n", mac="fa:16:3e:00:00:01", addresses=addresses)
    return GatewayState(leg=leg, nexthop=hops[0] if hops else None, nexthops=hops)


EAST = way(0, ["198.51.100.9/24", "203.0.113.9/24", "fd00:e::9/64"], ["203.0.113.1", "fd00:e::1"])
WEST = way(1, ["192.0.2.9/24"], ["192.0.2.1", "fd00:f::1"])
ROUTER = RouterState(id="r", gateway=EAST, more_gateways=[WEST], bfd=True)
PLAIN = msgspec.structs.replace(ROUTER, bfd=False)
HOPS = {hop: (hop, DEVICES["192" in hop or "f::" in hop]) for hop in [*EAST.hops, *WEST.hops]}


def test_each_next_hop_is_watched_from_an_address_of_its_network():
    assert [(one.hop.address, one.own) for one in watched.of(ROUTER)] == [
        ("203.0.113.1", "203.0.113.9"),
        ("fd00:e::1", "fd00:e::9"),
        ("192.0.2.1", "192.0.2.9"),
    ], "the gateway in the west has no address of IPv6"
    assert watched.of(PLAIN) == []


def test_a_gateway_of_the_release_before_has_one_next_hop():
    old = msgspec.structs.replace(ROUTER, gateway=msgspec.structs.replace(EAST, nexthops=[]), more_gateways=[])
    assert [one.hop.address for one in watched.of(old)] == ["203.0.113.1"]


def test_only_what_the_next_hop_itself_says_is_let_in():
    lines = [line for line in nat.filter_table(ROUTER).splitlines() if "3784" in line and "accept" in line]
    assert len(lines) == 3
    for line in lines:
        assert all(word in line for word in ("iifname", "saddr", "daddr", "255", "limit rate"))
    assert "3784" not in nat.filter_table(PLAIN)
    assert "notrack" not in nat.filter_table(PLAIN)


def test_connections_wait_for_their_gateway_only_where_it_may_be_silent():
    assert gateways.rules(ROUTER).count("drop") == gateways.rules(PLAIN).count("drop") + 2


def test_limits_spare_what_watches():
    shapes = {"": [ShapeState(type="bandwidth_limit", direction="egress", rate=100)]}
    text = shapers.addresses_table(msgspec.structs.replace(ROUTER, shapes=shapes))
    assert text.count("udp dport 3784 accept") == 6
    assert "3784" not in shapers.addresses_table(msgspec.structs.replace(PLAIN, shapes=shapes))


def leads(router: RouterState, *silent: str, exits: dict[str, str] | None = None) -> dict[str, set[str]]:
    found = routers._defaults(router, exits or {}, {HOPS[hop] for hop in silent})
    return {target: {hop for hop, _ in hops} for target, hops in found.items()}


def test_without_ecmp_the_next_gateway_comes_in_place_of_a_silent_one():
    assert leads(ROUTER) == {"0.0.0.0/0": {"203.0.113.1"}, "::/0": {"fd00:e::1"}}
    assert leads(ROUTER, "203.0.113.1") == {"0.0.0.0/0": {"192.0.2.1"}, "::/0": {"fd00:e::1"}}
    assert leads(ROUTER, "203.0.113.1", "192.0.2.1") == {"::/0": {"fd00:e::1"}}
    lone = msgspec.structs.replace(ROUTER, gateway=WEST, more_gateways=[EAST])
    only4 = msgspec.structs.replace(lone, gateway=way(1, ["192.0.2.9/24"], ["192.0.2.1"]))
    assert leads(only4) == {"0.0.0.0/0": {"192.0.2.1"}}, "what the first gateway never had, no other gives it"


def test_with_ecmp_those_that_are_heard_share():
    both = msgspec.structs.replace(ROUTER, ecmp=True)
    assert leads(both) == {"0.0.0.0/0": {"203.0.113.1", "192.0.2.1"}, "::/0": {"fd00:e::1", "fd00:f::1"}}
    assert leads(both, "192.0.2.1") == {"0.0.0.0/0": {"203.0.113.1"}, "::/0": {"fd00:e::1", "fd00:f::1"}}
    assert leads(both, "203.0.113.1", "192.0.2.1") == {"::/0": {"fd00:e::1", "fd00:f::1"}}


def test_a_way_out_by_the_host_itself_counts_while_the_next_hop_is_heard():
    exits = {IDS[0]: "169.254.1.1"}
    assert leads(ROUTER, exits=exits)["0.0.0.0/0"] == {"169.254.1.1"}
    assert leads(ROUTER, "203.0.113.1", exits=exits)["0.0.0.0/0"] == {"192.0.2.1"}
    assert leads(ROUTER, "fd00:e::1", exits=exits) == {"0.0.0.0/0": {"169.254.1.1"}, "::/0": {"fd00:f::1"}}
