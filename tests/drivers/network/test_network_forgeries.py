# SPDX-License-Identifier: Apache-2.0
"""What a guest says of itself to its neighbours, true and forged, in frames written by hand."""

from __future__ import annotations

import os
import uuid

import network_frames as frames
import pytest
from network_frames import delivered
from network_labs import FabricLab

from cumulet.services.network.drivers.fabric.filters import link_local
from cumulet.services.network.types import (
    AddressPair,
    FixedAddress,
    GroupState,
    HostState,
    NetworkState,
    PortState,
    RuleState,
    SubnetState,
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

NETWORK, LIAR, WITNESS, GROUP = (str(uuid.uuid4()) for _ in range(4))
OWN, OTHER, PAIRED = "fa:16:3e:00:00:11", "fa:16:3e:00:00:12", "fa:16:3e:00:00:13"
OWN4, OTHER4 = "10.1.0.11", "10.1.0.12"
OWN6, OTHER6 = "fd00:1::11", "fd00:1::12"
ANYTHING = [RuleState(direction=way, version=version) for way in ("ingress", "egress") for version in (4, 6)]


def port(key: str, mac: str, four: str, six: str, pairs: list[AddressPair]) -> PortState:
    fixed = [
        FixedAddress(address=four, prefix=24, subnet_id="s4"),
        FixedAddress(address=six, prefix=64, subnet_id="s6"),
    ]
    return PortState(id=key, network_id=NETWORK, mac=mac, addresses=fixed, groups=[GROUP], pairs=pairs)


STATE = HostState(
    generation=1,
    networks=[NetworkState(id=NETWORK, mtu=1450, segment=1, subnets=[SubnetState(id="s4", cidr="10.1.0.0/24")])],
    ports=[
        port(LIAR, OWN, OWN4, OWN6, [AddressPair(mac=PAIRED, cidr="fd00:1::100/120"),
                                     AddressPair(mac=OWN, cidr="fd00:1::53")]),
        port(WITNESS, OTHER, OTHER4, OTHER6, []),
    ],
    groups=[GroupState(id=GROUP, rules=ANYTHING)],
)  # fmt: skip


@pytest.fixture
def lab():
    place = FabricLab()
    try:
        assert place.apply(STATE).failed == {}
        place.boot(LIAR)
        place.boot(WITNESS)
        yield place
    finally:
        place.close()


def heard(lab: FabricLab, frame: bytes) -> bool:
    return delivered(lab, LIAR, WITNESS, frame)


def test_arp_speaks_for_the_port_alone(lab):
    assert heard(lab, frames.arp(1, mac=OWN, address=OWN4, target=OTHER4))
    assert heard(lab, frames.arp(1, mac=OWN, address="0.0.0.0", target=OWN4)), "a probe for a duplicate"
    assert heard(lab, frames.arp(2, mac=OWN, address=OWN4, target=OTHER4, to=OTHER))
    assert heard(lab, frames.arp(2, mac=OWN, address=OWN4, target=OWN4)), "it announces itself"
    assert not heard(lab, frames.arp(1, mac=OWN, address="10.1.0.1", target=OTHER4)), "asks with another's address"
    assert not heard(lab, frames.arp(2, mac=OWN, address="10.1.0.1", target=OTHER4, to=OTHER)), "answers for another"
    assert not heard(lab, frames.arp(2, mac=OWN, address="10.1.0.1", target="10.1.0.1")), "announces another's"
    assert not heard(lab, frames.arp(2, mac=OTHER, source=OWN, address=OWN4, target=OTHER4)), "names another's MAC"
    assert not heard(lab, frames.arp(1, mac=OTHER, address=OTHER4, target="10.1.0.1")), "from another's MAC"


def test_neighbour_advertisements_are_for_the_ports_own_addresses(lab):
    own = link_local(OWN)
    for solicited in (False, True):
        for target in (OWN6, own, "fd00:1::53"):
            assert heard(lab, frames.advertisement(mac=OWN, source=own, target=target, solicited=solicited)), target
        pair = link_local(PAIRED)
        for target in (pair, "fd00:1::100", "fd00:1::1ff"):
            assert heard(lab, frames.advertisement(mac=PAIRED, source=pair, target=target, solicited=solicited)), target
        for target in (OTHER6, link_local(OTHER), "fd00:1::1", "fe80::1", "fd00:1::52", "fd00:1::180"):
            forged = frames.advertisement(mac=OWN, source=own, target=target, solicited=solicited)
            assert not heard(lab, forged), f"{target} is not this MAC's"
        assert not heard(lab, frames.advertisement(mac=PAIRED, source=pair, target="fd00:1::200", solicited=solicited))
    assert not heard(lab, frames.advertisement(mac=OWN, source=OTHER6, target=OWN6)), "from another's address"


def test_duplicates_are_looked_for_of_the_ports_own_addresses(lab):
    assert heard(lab, frames.solicitation(mac=OWN, source="::", target=OWN6))
    assert heard(lab, frames.solicitation(mac=OWN, source="::", target=link_local(OWN)))
    assert heard(lab, frames.solicitation(mac=OWN, source=OWN6, target=OTHER6)), "anyone may be asked for"
    assert not heard(lab, frames.solicitation(mac=OWN, source="::", target=OTHER6)), "it would take the address away"


def test_a_guest_is_no_router(lab):
    assert heard(lab, frames.router_solicitation(mac=OWN, source="::")), "before it has any address"
    assert heard(lab, frames.router_solicitation(mac=OWN, source=link_local(OWN)))
    assert not heard(lab, frames.router_advertisement(mac=OWN, source=link_local(OWN)))


def test_a_guest_serves_no_addresses(lab):
    assert heard(lab, frames.udp4(mac=OWN, source="0.0.0.0", ports=(68, 67))), "a client asks"
    assert not heard(lab, frames.udp4(mac=OWN, source=OTHER4, ports=(68, 67))), "asks with another's address"
    assert heard(lab, frames.udp4(mac=OWN, source=OWN4, ports=(68, 67))), "asks for more time"
    assert heard(lab, frames.udp4(mac=OWN, source=OWN4, ports=(5000, 5001)))
    assert not heard(lab, frames.udp4(mac=OWN, source=OWN4, ports=(67, 68)))
    assert heard(lab, frames.udp6(mac=OWN, source=OWN6, ports=(5000, 5001)))
    assert heard(lab, frames.udp6(mac=OWN, source=link_local(OWN), ports=(546, 547), destination="ff02::1:2"))
    assert not heard(lab, frames.udp6(mac=OWN, source=link_local(OWN), ports=(547, 546)))
    assert not heard(lab, frames.udp6(mac=OWN, source=OWN6, ports=(5000, 546))), "whatever port it comes from"
