# SPDX-License-Identifier: Apache-2.0
"""From the API to addresses: a network of IPv6 alone, whose guests come to what the API says they have."""

from __future__ import annotations

import ipaddress
import os
import secrets
from contextlib import ExitStack
from typing import Any

import pytest
from network_labs import eventually, ping6
from test_end_to_end import Place
from test_network_ipv6 import AutoGuest, exchange, fetch, lease

from cumulet.services.network.contract import PortInfo, PortRequest
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import PortState

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]


def test_guests_come_to_the_addresses_that_the_api_says(tmp_path):
    host = Namespace(f"e2e-{secrets.token_hex(3)}-host")
    host.create()
    try:
        host.visit(lambda: story(tmp_path))
    finally:
        host.delete()


def story(folder: Any) -> None:
    with Links() as links:
        links.settle("lo")
    with ExitStack() as closing:
        place = Place(folder, closing)
        network = place.api("POST", "networks", {"network": {"name": "six"}})["network"]["id"]
        slaac = subnet(place, network, 1, "slaac")
        router = place.api("POST", "routers", {"router": {}})["router"]["id"]
        place.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": slaac})
        first, one = boot(place, network)
        closing.callback(one.close)
        own = {item.address for item in first.addresses}
        assert len(own) == 1
        assert eventually(lambda: one.addresses() == own, 8.0)
        assert eventually(lambda: one.space.visit(lambda: ping6("2001:db8:1::1")), 8.0)
        status, _ = one.space.visit(lambda: fetch("fe80::a9fe:a9fe%eth0", "/"))
        assert status in (200, 404, 503), "there is no compute here that could say more"

        stateful = subnet(place, network, 2, "dhcpv6-stateful")
        place.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": stateful})
        second, other = boot(place, network)
        closing.callback(other.close)
        given, made = (item.address for item in second.addresses)
        assert eventually(lambda: other.addresses() == {made}, 8.0)
        assert other.space.visit(lease) == given
        option = {"opt_name": "domain-search", "opt_value": "example.org", "ip_version": 6}
        place.api("PUT", f"ports/{second.id}", {"port": {"extra_dhcp_opts": [option]}})
        place.network.converge("host-1")
        _, told = other.space.visit(lambda: exchange(11))
        assert told[24] == b"\7example\3org\0"
        assert ipaddress.IPv6Address(told[23]) == ipaddress.IPv6Address("2001:db8:2::53")


def subnet(place: Place, network: str, number: int, mode: str) -> str:
    body = {
        "network_id": network,
        "ip_version": 6,
        "cidr": f"2001:db8:{number}::/64",
        "gateway_ip": f"2001:db8:{number}::1",
        "dns_nameservers": [f"2001:db8:{number}::53"],
        "ipv6_ra_mode": mode,
        "ipv6_address_mode": mode,
    }
    return str(place.api("POST", "subnets", {"subnet": body})["subnet"]["id"])


def boot(place: Place, network: str) -> tuple[PortInfo, AutoGuest]:
    """A server whose guest was told nothing."""
    db, server = place.cloud.control.db, secrets.token_hex(16)
    wanted = [PortRequest(network_id=network)]
    info = db.write(
        lambda tx: place.network.create_ports(
            tx, place.ctx, server_id=server, host="", availability_zone="nova", requests=wanted
        )
    )[0]
    db.write(lambda tx: place.network.bind(tx, [info.id], "host-1"))
    place.network.converge("host-1")
    state = PortState(id=info.id, network_id=network, mac=info.mac)
    return info, AutoGuest(f"e2e-{secrets.token_hex(3)}", state, [], place.ports.open_tap(info.id))
