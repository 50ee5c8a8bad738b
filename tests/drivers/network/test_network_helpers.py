# SPDX-License-Identifier: Apache-2.0
"""Routers that read along: the address that a guest's server names inside a connection is translated as well."""

from __future__ import annotations

import os
import socket
import uuid

import msgspec
import pytest
from network_labs import FabricLab, listen

from cumulet.services.network.drivers.fabric import helpers
from cumulet.services.network.types import (
    FixedAddress,
    FloatingState,
    GatewayState,
    GroupState,
    HelperState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    RuleState,
    SubnetState,
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

NET, PUBLIC, GROUP, SERVER = (str(uuid.uuid4()) for _ in range(4))
INSIDE, FLOATING = "10.1.0.11", "198.18.4.21"
SAID = "227 Entering Passive Mode ({address},31,144).\r\n"  # port 31 * 256 + 144 = 8080
PATIENCE = 20.0  # seconds that what must come may take on a busy machine


def _leg(network: str, number: int, address: str) -> LegState:
    mac = f"fa:16:3e:00:07:0{number}"
    return LegState(port_id=str(uuid.uuid4()), network_id=network, mac=mac, addresses=[address])


ROUTER = RouterState(
    id=str(uuid.uuid4()),
    legs=[_leg(NET, 1, "10.1.0.1/24")],
    gateway=GatewayState(leg=_leg(PUBLIC, 2, "198.18.4.10/24"), nexthop="198.18.4.1"),
    floating=[FloatingState(address=FLOATING, fixed=INSIDE)],
    helpers=[HelperState(name="ftp", protocol="tcp", port=21), HelperState(name="ftp", protocol="tcp", port=2121)],
)
STATE = HostState(
    generation=1,
    networks=[
        NetworkState(
            id=NET, mtu=1450, segment=1, subnets=[SubnetState(id="s", cidr="10.1.0.0/24", gateway="10.1.0.1")]
        ),
        NetworkState(id=PUBLIC, mtu=1500, physical="public"),
    ],
    ports=[
        PortState(
            id=SERVER,
            network_id=NET,
            mac="fa:16:3e:00:07:11",
            addresses=[FixedAddress(address=INSIDE, prefix=24, subnet_id="s")],
            groups=[GROUP],
        )
    ],
    groups=[
        GroupState(
            id=GROUP,
            rules=[
                RuleState(direction="egress", version=4),
                RuleState(direction="ingress", version=4, protocol=6),
            ],
        )
    ],
    routers=[ROUTER],
)


@pytest.fixture
def lab():
    place = FabricLab()
    yield place
    place.close()


def heard(lab: FabricLab, number: int) -> tuple[str, bool]:
    """The address that someone outside reads of what a guest's server says at this port; whether one comes there."""

    def serve() -> socket.socket:
        sock = listen(number)
        sock.settimeout(PATIENCE)
        return sock

    def call() -> socket.socket:
        return socket.create_connection((FLOATING, number), PATIENCE)

    with lab.guests[SERVER].space.visit(serve) as listener, lab.host.visit(call) as outside:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 Welcome\r\n")  # lines are told apart from the second one on
            assert outside.recv(200).startswith(b"220")
            connection.sendall(SAID.format(address=INSIDE.replace(".", ",")).encode())
            words = outside.recv(200).decode().partition("(")[2].partition(")")[0].split(",")
            address, port = ".".join(words[:4]), int(words[4]) * 256 + int(words[5])
            return address, lab.tcp(None, address, port)


def test_a_router_reads_along_where_it_is_told_to(lab: FabricLab):
    if "ftp:tcp" not in lab.fabric.capabilities.helpers:
        pytest.skip("the kernel has no such helper")
    assert lab.apply(STATE).failed == {}
    lab.boot(SERVER)
    assert heard(lab, 21) == (FLOATING, True)
    assert heard(lab, 2121) == (FLOATING, True)
    assert heard(lab, 2122) == (INSIDE, False)
    assert lab.apply(msgspec.structs.replace(STATE, generation=2)).changes == 0
    without = msgspec.structs.replace(ROUTER, helpers=[])
    lab.apply(msgspec.structs.replace(STATE, generation=3, routers=[without]))
    assert heard(lab, 21) == (INSIDE, False)


def test_what_the_kernel_has_not_is_left_out():
    wanted = [HelperState(name="h323", protocol="udp", port=1719), HelperState(name="amanda", protocol="tcp", port=1)]
    text = helpers.rules(wanted, ["h323:udp"])
    assert '"RAS"' in text
    assert "amanda" not in text
    assert helpers.rules(wanted, []) == ""
