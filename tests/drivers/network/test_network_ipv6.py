# SPDX-License-Identifier: Apache-2.0
"""Guests that come to IPv6 by themselves: the kernel's own SLAAC, a DHCPv6 client, metadata at a link-local address."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import secrets
import socket
import struct
import time
import uuid
from pathlib import Path

import msgspec
import pytest
from network_frames import delivered, udp6
from network_labs import FabricLab, FakeLab, Guest, eventually, ping6
from network_pairs import ENDPOINTS, FabricPair

from cumulet.services.network.drivers.fabric import dhcp6, filters, names
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.taps import open_tap
from cumulet.services.network.types import (
    DhcpOption,
    FixedAddress,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RemoteState,
    Route,
    RouterState,
    RuleState,
    ServiceState,
    SubnetState,
)

root = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

NETWORK, ROUTER, LEG, GROUP, SERVICE_PORT = (str(uuid.uuid4()) for _ in range(5))
A, B = (str(uuid.uuid4()) for _ in range(2))
MACS = {A: "fa:16:3e:00:06:0a", B: "fa:16:3e:00:06:0b"}
SERVICE = "fa:16:3e:00:06:02"
RULES = [RuleState(direction=direction, version=6) for direction in ("ingress", "egress")]
SOON = 6.0


def eui64(prefix: str, mac: str) -> str:
    low = int(ipaddress.IPv6Address(filters.link_local(mac))) & (1 << 64) - 1
    return str(ipaddress.IPv6Network(prefix)[low])


def subnet(number: int, mode: str | None, **words: object) -> SubnetState:
    values = {"dns": [f"fd00:{number}::53"], "ra_mode": mode, "address_mode": mode, **words}
    return SubnetState(
        id=f"s{number}", cidr=f"fd00:{number}::/64", version=6, gateway=f"fd00:{number}::1", **values
    )  # fmt: skip


def state(*subnets: SubnetState, generation: int = 1, mtu: int = 1420) -> HostState:
    def addresses(key: str, last: int) -> list[FixedAddress]:
        automatic = ("slaac", "dhcpv6-stateless")
        return [
            FixedAddress(
                address=eui64(one.cidr, MACS[key]) if one.address_mode in automatic else f"{one.cidr[:-3]}{last}",
                prefix=64,
                subnet_id=one.id,
            )
            for one in subnets
        ]

    ports = [
        PortState(
            id=key, network_id=NETWORK, mac=MACS[key], addresses=addresses(key, 10 + at), groups=[GROUP],
            options=[DhcpOption(name="bootfile-url", value="tftp://[fd00::9]/x", version=6)] if key == A else [],
        )
        for at, key in enumerate((A, B))
    ]  # fmt: skip
    leg = LegState(
        port_id=LEG, network_id=NETWORK, mac="fa:16:3e:00:06:01", addresses=[f"{one.gateway}/64" for one in subnets]
    )
    service = ServiceState(port_id=SERVICE_PORT, mac=SERVICE, addresses=[f"{one.cidr[:-3]}2/64" for one in subnets])
    return HostState(
        generation=generation,
        networks=[NetworkState(id=NETWORK, mtu=mtu, segment=7, subnets=list(subnets), service=service)],
        ports=ports,
        groups=[GroupState(id=GROUP, rules=RULES)],
        routers=[RouterState(id=ROUTER, legs=[leg])],
    )


class AutoGuest(Guest):
    """A guest that was told nothing: its kernel listens to routers."""

    def _configure(self, gateways: list[str]) -> int:
        handle = open_tap("eth0")
        sysctl("net/ipv6/conf/eth0/accept_dad", "0")
        sysctl("net/ipv6/conf/eth0/accept_ra", "1")
        with Links() as links:
            links.settle("lo")
            links._route.link("set", index=links.devices["eth0"].index, address=self.port.mac, mtu=1450, state="up")
        return handle

    def addresses(self) -> set[str]:
        return self.space.visit(_addresses)


def _addresses() -> set[str]:
    with Links() as links:
        index = links.devices["eth0"].index
        found = [item.get_attr("IFA_ADDRESS") for item in links._route.get_addr(family=socket.AF_INET6, index=index)]
    return {text for text in found if not text.startswith("fe80")}


@pytest.fixture
def lab():
    place = FabricLab()
    yield place
    place.close()


def boot(lab: FabricLab, key: str) -> AutoGuest:
    port = next(port for port in lab.state.ports if port.id == key)
    lab.guests[key] = guest = AutoGuest(f"lab-{lab.mark}-{key[:8]}", port, [], lab.fabric.open_tap(key))
    return guest


def default_route() -> str | None:
    with Links() as links:
        for item in links._route.get_routes(family=socket.AF_INET6):
            if item["dst_len"] == 0 and item.get_attr("RTA_GATEWAY"):
                return str(item.get_attr("RTA_GATEWAY"))
    return None


def option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def exchange(kind: int, *options: bytes) -> tuple[int, dict[int, bytes]] | None:
    """Send a message to all servers from the calling thread's namespace; the kind and the options of the answer."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 25, b"eth0")
        sock.bind(("::", 546))
        number = secrets.token_bytes(3)
        for _ in range(4):
            with contextlib.suppress(OSError):
                sock.sendto(bytes([kind]) + number + b"".join(options), ("ff02::1:2", 547))
            sock.settimeout(0.7)
            with contextlib.suppress(OSError):
                reply = sock.recv(2048)
                if reply[1:4] == number:
                    return reply[0], dict(dhcp6.parse_options(reply[4:]))
    return None


def lease() -> str | None:
    """Solicit and request like a client; the address."""
    client = option(1, b"\0\4" + bytes(16))
    offered = exchange(1, client, option(3, b"\0\0\0\1" + bytes(8)))
    if offered is None or offered[0] != 2:
        return None
    granted = exchange(3, client, option(2, offered[1][2]), option(3, offered[1][3]))
    if granted is None or granted[0] != 7:
        return None
    found = dict(dhcp6.parse_options(granted[1][3][12:]))
    return str(ipaddress.IPv6Address(found[5][:16])) if 5 in found else None


def fetch(address: str, path: str, patience: float = 3) -> tuple[int, str] | None:
    connection = http.client.HTTPConnection(address, 80, timeout=patience)
    connection._create_connection = lambda *_, **__: socket.create_connection((address, 80), patience)
    try:
        connection.request("GET", path, headers={"Host": "metadata"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return None
    finally:
        connection.close()


class TestWithPackets:
    """The kernel's engine."""

    pytestmark = root

    def test_a_guest_makes_its_address_of_an_advertisement(self, lab):
        assert lab.apply(state(subnet(1, "slaac"))).failed == {}
        one, two = boot(lab, A), boot(lab, B)
        assert eventually(lambda: one.addresses() == {eui64("fd00:1::/64", MACS[A])}, SOON)
        assert eventually(lambda: two.addresses() == {eui64("fd00:1::/64", MACS[B])}, SOON)
        assert one.space.visit(default_route) == filters.link_local("fa:16:3e:00:06:01")
        assert eventually(lambda: one.space.visit(lambda: ping6(eui64("fd00:1::/64", MACS[B]))), SOON)
        assert one.space.visit(Path("/proc/sys/net/ipv6/conf/eth0/mtu").read_text).strip() == "1420"
        assert lab.apply(state(subnet(1, "slaac"))).changes == 0

    def test_an_advertisement_says_what_changes(self, lab):
        lab.apply(state(subnet(1, "slaac")))
        one = boot(lab, A)
        assert eventually(lambda: len(one.addresses()) == 1, SOON)
        lab.apply(state(subnet(1, "slaac"), subnet(2, "slaac"), generation=2))
        wanted = {eui64(f"fd00:{number}::/64", MACS[A]) for number in (1, 2)}
        assert eventually(lambda: one.addresses() == wanted, SOON)

    def test_a_guest_is_given_its_address_by_dhcp(self, lab):
        lab.apply(state(subnet(1, "dhcpv6-stateful")))
        one = boot(lab, A)
        assert eventually(lambda: one.space.visit(default_route) is not None, SOON)
        assert one.addresses() == set(), "the prefix is not for guests to make addresses of"
        assert one.space.visit(lease) == "fd00:1::10"
        _, options = one.space.visit(lambda: exchange(11))
        assert ipaddress.IPv6Address(options[23]) == ipaddress.IPv6Address("fd00:1::53")
        assert options[59] == b"tftp://[fd00::9]/x"
        two = boot(lab, B)
        assert two.space.visit(lease) == "fd00:1::11"

    def test_one_that_has_an_address_is_told_the_rest(self, lab):
        lab.apply(state(subnet(1, "dhcpv6-stateless")))
        one = boot(lab, A)
        assert eventually(lambda: one.addresses() == {eui64("fd00:1::/64", MACS[A])}, SOON)
        kind, options = one.space.visit(lambda: exchange(11))
        assert kind == 7
        assert ipaddress.IPv6Address(options[23]) == ipaddress.IPv6Address("fd00:1::53")
        assert one.space.visit(lease) is None

    def test_no_router_no_advertisement_but_dhcp(self, lab):
        lone = msgspec.structs.replace(state(subnet(1, "dhcpv6-stateful")), routers=[])
        assert lab.apply(lone).failed == {}
        one = boot(lab, A)
        assert one.space.visit(lease) == "fd00:1::10"
        assert one.addresses() == set()

    def test_guests_are_no_dhcp_servers(self, lab):
        lab.apply(state(subnet(1, "dhcpv6-stateful")))
        boot(lab, A)
        boot(lab, B)
        own = filters.link_local(MACS[A])
        assert delivered(lab, A, B, udp6(mac=MACS[A], source=own, ports=(9, 9)))
        assert not delivered(lab, A, B, udp6(mac=MACS[A], source=own, ports=(547, 546)))

    def test_metadata_is_read_at_a_link_local_address(self, lab):
        lab.apply(state(subnet(1, "slaac")))
        one = boot(lab, A)
        assert eventually(lambda: len(one.addresses()) == 1, SOON)
        answer = one.space.visit(lambda: fetch("fe80::a9fe:a9fe%eth0", "/openstack"))
        assert answer == (200, f"{NETWORK} {eui64('fd00:1::/64', MACS[A])} /openstack")

    def test_answers_go_on_after_a_restart(self, lab):
        wanted = state(subnet(1, "dhcpv6-stateful"))
        lab.apply(wanted)
        one = boot(lab, A)
        assert one.space.visit(lease) == "fd00:1::10"
        lab.restart()
        assert lab.apply(wanted).changes == 0
        assert one.space.visit(lease) == "fd00:1::10"

    def test_links_too_narrow_for_ipv6_still_have_ipv4(self, lab):
        narrow = state(subnet(1, "slaac"), mtu=1200)
        assert lab.apply(narrow).failed == {}

    def test_a_router_that_goes_is_heard_no_more(self, lab):
        lab.apply(state(subnet(1, "slaac")))
        lone = msgspec.structs.replace(state(subnet(1, "slaac"), generation=2), routers=[])
        assert lab.apply(lone).failed == {}
        space = Namespace(names.router_namespace(lab.mark, ROUTER))
        assert not space.exists()
        one = boot(lab, A)
        time.sleep(1)
        assert one.addresses() == set()


@pytest.fixture
def pair():
    place = FabricPair()
    yield place
    place.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")
def test_a_router_on_another_host_is_heard(pair):
    whole = state(subnet(1, "slaac"), subnet(2, "dhcpv6-stateful"))
    near, far = (port for port in whole.ports)
    leg = whole.routers[0].legs[0]
    one, two = pair.labs
    there = [remote(far.id, far.mac, [one.address for one in far.addresses], 1)]
    here = [
        remote(near.id, near.mac, [one.address for one in near.addresses], 0),
        remote(leg.port_id, leg.mac, [text.split("/")[0] for text in leg.addresses], 0),
    ]
    assert one.apply(msgspec.structs.replace(whole, ports=[near], remotes=there)).failed == {}
    assert two.apply(msgspec.structs.replace(whole, ports=[far], routers=[], remotes=here)).failed == {}
    guest = boot(two, far.id)
    assert eventually(lambda: guest.addresses() == {eui64("fd00:1::/64", far.mac)}, SOON)
    assert guest.space.visit(default_route) == filters.link_local(leg.mac)
    assert guest.space.visit(lease) == "fd00:2::11"
    assert eventually(lambda: guest.space.visit(lambda: ping6("fd00:1::1")), SOON), "the router"
    answer = guest.space.visit(lambda: fetch("fe80::a9fe:a9fe%eth0", "/openstack"))
    assert answer is not None
    assert answer[0] == 200


def remote(key: str, mac: str, addresses: list[str], at: int) -> RemoteState:
    return RemoteState(id=key, network_id=NETWORK, mac=mac, addresses=addresses, endpoint=ENDPOINTS[at])


def test_the_fake_tells_the_same():
    place = FakeLab()
    mixed = state(
        subnet(1, "slaac", routes=[Route(destination="fd00:99::/48", nexthop="fd00:1::1")]),
        subnet(2, "dhcpv6-stateful"),
    )
    place.apply(mixed)
    place.boot(A)
    offer = place.fabric.lease6(A)
    assert (offer.addresses, offer.dns) == (["fd00:2::10"], ["fd00:2::53"])
    (said,) = place.fabric.adverts(A)
    assert (said.managed, said.other, said.mtu) == (True, False, 1420)
    assert [(one.cidr, one.autonomous) for one in said.prefixes] == [("fd00:1::/64", True), ("fd00:2::/64", False)]
    assert (said.dns, said.routes) == (["fd00:1::53"], ["fd00:99::/48"])
