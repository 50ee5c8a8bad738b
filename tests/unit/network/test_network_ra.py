# SPDX-License-Identifier: Apache-2.0
"""Router advertisements and unsolicited neighbour messages, byte by byte."""

from __future__ import annotations

import ipaddress
import struct

import msgspec
import pytest

from cumulet.services.network.drivers.fabric import links, ra
from cumulet.services.network.types import LegState, NetworkState, Route, SubnetState

MAC = "fa:16:3e:00:00:01"


def subnet(number: int, mode: str | None, **words: object) -> SubnetState:
    return SubnetState(id=f"s{number}", cidr=f"fd00:{number}::/64", version=6, ra_mode=mode, **words)


def said(*subnets: SubnetState, mtu: int = 1450) -> ra.Advert | None:
    leg = LegState(
        port_id="p", network_id="n", mac=MAC, addresses=["10.0.0.1/24", *(f"{one.cidr[:-3]}1/64" for one in subnets)]
    )
    other = SubnetState(id="other", cidr="fd00:77::/64", version=6, ra_mode="slaac")
    return ra.advert(leg, NetworkState(id="n", mtu=mtu, subnets=[*subnets, other]))


def options(message: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 16
    while at < len(message):
        found.append((message[at], message[at : at + 8 * message[at + 1]]))
        at += 8 * message[at + 1]
    return found


@pytest.mark.parametrize(
    ("mode", "flags", "prefix"),
    [("slaac", 0, 0xC0), ("dhcpv6-stateless", 0x40, 0xC0), ("dhcpv6-stateful", 0x80, 0x80), (None, 0, None)],
)
def test_each_mode_has_its_flags(mode, flags, prefix):
    advert = said(subnet(1, mode))
    assert advert is not None
    message = ra.message(advert)
    assert (message[0], message[4], message[5]) == (134, 64, flags)
    assert struct.unpack("!H", message[6:8])[0] == ra.LIFETIME
    found = dict(options(message))
    assert found[1] == b"\x01\x01" + bytes.fromhex(MAC.replace(":", ""))
    assert struct.unpack("!I", found[5][4:])[0] == 1450
    assert (found[3][3] if 3 in found else None) == prefix
    if prefix is not None:
        assert (found[3][2], ipaddress.IPv6Address(found[3][16:])) == (64, ipaddress.IPv6Address("fd00:1::"))


def test_servers_of_subnets_without_dhcp_are_said():
    servers = [f"fd00::{number}" for number in range(1, 6)]
    advert = said(subnet(1, "slaac", dns=servers), subnet(2, "dhcpv6-stateful", dns=["fd00::9"]))
    assert advert is not None
    assert advert.dns == servers[: ra.MOST_SERVERS]
    found = dict(options(ra.message(advert)))
    assert len(found[25]) == 8 + 16 * ra.MOST_SERVERS
    nobody = said(subnet(1, "slaac", dns=["::"]))
    assert nobody is not None
    assert nobody.dns == []


def test_routes_by_the_router_itself_are_said():
    routes = [
        Route(destination="fd00:99::/48", nexthop="fd00:1::1"),
        Route(destination="fd00:98::/80", nexthop="fd00:1::1"),
        Route(destination="fd00:97::/48", nexthop="fd00:1::7"),
        Route(destination="::/0", nexthop="fd00:1::1"),
    ]
    advert = said(subnet(1, "slaac", routes=routes))
    assert advert is not None
    assert advert.routes == ["fd00:99::/48", "fd00:98::/80"]
    found = [data for code, data in options(ra.message(advert)) if code == 24]
    assert [(data[2], len(data)) for data in found] == [(48, 16), (80, 24)]


def test_a_prefix_that_goes_is_taken_back():
    advert = said(subnet(1, "slaac"))
    assert advert is not None
    gone = ra.Prefix(cidr="fd00:5::/64", autonomous=True)
    (_, data) = options(ra.message(advert, [gone]))[-1]
    assert struct.unpack("!II", data[4:12]) == (0, 0)


def test_links_that_carry_no_ipv6_are_left_alone():
    assert said(subnet(1, "slaac"), mtu=1279) is None
    assert said() is None
    advert = said(subnet(1, "slaac"))
    assert advert is not None
    assert [one.cidr for one in advert.prefixes] == ["fd00:1::/64"], "none that the leg has no address on"
    assert msgspec.structs.replace(advert, mtu=1280).mtu == ra.LEAST_MTU


def test_an_address_is_announced_with_a_checksum_that_is_right():
    own = ipaddress.IPv6Address("fd00:1::1").packed
    frame = links._unsolicited(bytes.fromhex(MAC.replace(":", "")), own)
    head, body = frame[14:54], frame[54:]
    pseudo = head[8:40] + struct.pack("!II", len(body), 58) + body
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
    assert (body[0], body[8:24], frame[:6].hex(":")) == (136, own, "33:33:00:00:00:01")
