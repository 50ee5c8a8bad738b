# SPDX-License-Identifier: Apache-2.0
"""What a guest asks the network's services for is its own, whoever it says that it is."""

from __future__ import annotations

import os

import msgspec
import pytest
import test_network_two_hosts as two_hosts
from network_labs import FabricLab, Guest, ask_dhcp, get
from network_pairs import FabricPair
from test_fabric import NET1, STATE, A
from test_network_ipv6 import fetch, lease

from cumulet.services.network.drivers.fabric.filters import link_local
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.services import METADATA6
from cumulet.services.network.types import (
    AddressPair,
    FixedAddress,
    HostState,
    NetworkState,
    RuleState,
    ServiceState,
    SubnetState,
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

LONG = 1.0  # seconds: what is answered at all is answered in milliseconds
OWN, VICTIM, VICTIMS_MAC = "10.1.0.11", "10.1.0.12", STATE.ports[1].mac
SIX, SUBNET6 = "fd00:1::", "six"


def state(*, secure: bool) -> HostState:
    """A is the liar: without port security, or with pairs for everything that it may want to be."""
    networks = [_six(one) if one.id == NET1 else one for one in STATE.networks]
    liar, victim, far = STATE.ports
    pairs = [AddressPair(mac=mac, cidr=cidr) for mac in (liar.mac, victim.mac) for cidr in ("10.0.0.0/8", "fd00::/8")]
    words = {"pairs": pairs} if secure else {"security": False, "groups": []}
    liar, victim = (
        msgspec.structs.replace(
            one,
            addresses=[
                *one.addresses,
                FixedAddress(address=f"{SIX}{number}", prefix=64, subnet_id=SUBNET6),
            ],
        )
        for number, one in ((11, liar), (12, victim))
    )
    ports = [msgspec.structs.replace(liar, **words), victim, far]
    out = RuleState(direction="egress", version=6)
    groups = [msgspec.structs.replace(group, rules=[*group.rules, out]) for group in STATE.groups]
    return msgspec.structs.replace(STATE, networks=networks, ports=ports, groups=groups)


def _six(network: NetworkState) -> NetworkState:
    assert network.service is not None
    service = ServiceState(
        port_id=network.service.port_id,
        mac=network.service.mac,
        addresses=[*network.service.addresses, f"{SIX}2/64"],
    )
    subnet = SubnetState(id=SUBNET6, cidr=f"{SIX}/64", version=6, address_mode="dhcpv6-stateful")
    return msgspec.structs.replace(network, service=service, subnets=[*network.subnets, subnet])


def wear(*addresses: str, route: str = "10.1.0.2") -> None:
    """Have these addresses and no other, and the way to metadata by `route`, in the calling thread's namespace."""
    with Links() as links:
        links._route.flush_addr(index=links.devices["eth0"].index)
        links.addresses("eth0", [f"{one}/{64 if ':' in one else 24}" for one in addresses])
        if not all(":" in one for one in addresses):
            links.routes({"169.254.169.254/32": (route, "eth0")})


def ask(
    guest: Guest, *addresses: str, mac: str | None = None, route: str = "10.1.0.2", patience: float = 3
) -> tuple[int, str] | None:
    """What metadata says to one who has these addresses; over IPv6 where they are of it."""

    def work() -> tuple[int, str] | None:
        wear(*addresses, route=route)
        if ":" in addresses[0]:
            return fetch(f"{METADATA6}%eth0", "/x", patience)
        return get("169.254.169.254", "/x", patience=patience)

    with guest.pretending(None, mac):
        return guest.space.visit(work)


@pytest.fixture(params=[True, False], ids=["allowed pairs", "no port security"])
def guest(request):
    lab = FabricLab()
    try:
        assert lab.apply(state(secure=request.param)).failed == {}
        lab.boot(A)
        yield lab.guests[A]
    finally:
        lab.close()


def test_dhcp_tells_a_guest_of_its_own_port_alone(guest: Guest):
    found = guest.space.visit(lambda: ask_dhcp(guest.port.mac))
    assert found is not None
    assert found["address"] == OWN
    assert guest.space.visit(lambda: ask_dhcp(VICTIMS_MAC, tries=1)) is None, "named in the message"
    with guest.pretending(None, VICTIMS_MAC):
        assert guest.space.visit(lambda: ask_dhcp(VICTIMS_MAC, tries=1)) is None, "and in the frame"


def test_dhcpv6_tells_a_guest_of_its_own_port_alone(guest: Guest):
    assert guest.space.visit(lease) == f"{SIX}11"
    with guest.pretending(None, VICTIMS_MAC):
        guest.space.visit(lambda: wear(link_local(VICTIMS_MAC)))
        assert guest.space.visit(lease) is None


@pytest.mark.parametrize("route", ["10.1.0.2", "10.1.0.1"], ids=["the service", "a router"])
def test_metadata_of_another_port_is_not_read(guest: Guest, route: str):
    assert ask(guest, OWN, route=route) == (200, f"{NET1} {OWN} /x")
    assert ask(guest, VICTIM, route=route, patience=LONG) is None
    assert ask(guest, VICTIM, mac=VICTIMS_MAC, route=route, patience=LONG) is None
    assert ask(guest, OWN, route=route) == (200, f"{NET1} {OWN} /x")


def test_metadata_of_another_port_is_not_read_over_ipv6(guest: Guest):
    own, victims = link_local(guest.port.mac), link_local(VICTIMS_MAC)
    assert ask(guest, own) == (200, f"{NET1} {OWN} /x")
    assert ask(guest, victims, patience=LONG) is None
    assert ask(guest, victims, mac=VICTIMS_MAC, patience=LONG) is None
    assert ask(guest, f"{SIX}12", patience=LONG) is None
    assert ask(guest, own) == (200, f"{NET1} {OWN} /x")


def test_metadata_of_another_port_is_not_read_by_way_of_a_router_on_another_host():
    pair = FabricPair()
    try:
        liar = two_hosts.B
        ports = [
            msgspec.structs.replace(one, security=False, groups=[]) if one.id == liar else one
            for one in two_hosts.SECOND.ports
        ]
        assert pair.labs[0].apply(two_hosts.FIRST).failed == {}
        assert pair.labs[1].apply(msgspec.structs.replace(two_hosts.SECOND, ports=ports)).failed == {}
        pair.labs[1].boot(liar)
        guest = pair.labs[1].guests[liar]
        assert ask(guest, VICTIM, route="10.1.0.1") == (200, f"{two_hosts.NET1} {VICTIM} /x"), "which is its own here"
        assert ask(guest, OWN, route="10.1.0.1", patience=LONG) is None
    finally:
        pair.close()
