# SPDX-License-Identifier: Apache-2.0
"""The way outside by the host's own connections: guests reach what is beyond the host, and never its loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from network_labs import FabricLab, eventually

from cumulet.services.network.drivers.fabric.engine import KernelFabric
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    FixedAddress,
    GatewayState,
    GroupState,
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
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces"),
    pytest.mark.skipif(shutil.which("pasta") is None, reason="pasta is not installed"),
]

WORLD, HOST = "203.0.113.1", "203.0.113.2"
PUBLIC_SERVICE, PRIVATE_SERVICE = 8080, 9090
GUEST = str(uuid.uuid4())


def state() -> HostState:
    """A guest behind a router with a gateway."""
    inner, outer, subnet, group = (str(uuid.uuid4()) for _ in range(4))
    outside = LegState(
        port_id=str(uuid.uuid4()), network_id=outer, mac="fa:16:3e:00:09:01", addresses=["198.18.4.10/24"]
    )
    inside = LegState(port_id=str(uuid.uuid4()), network_id=inner, mac="fa:16:3e:00:01:01", addresses=["10.1.0.1/24"])
    return HostState(
        generation=1,
        networks=[
            NetworkState(
                id=inner, mtu=1450, segment=1, subnets=[SubnetState(id=subnet, cidr="10.1.0.0/24", gateway="10.1.0.1")]
            ),
            NetworkState(id=outer, mtu=1500, physical="public"),
        ],
        ports=[
            PortState(
                id=GUEST, network_id=inner, mac="fa:16:3e:00:00:11", groups=[group],
                addresses=[FixedAddress(address="10.1.0.11", prefix=24, subnet_id=subnet)],
            )
        ],
        groups=[GroupState(id=group, rules=[RuleState(direction="egress", version=4)])],
        routers=[
            RouterState(
                id=str(uuid.uuid4()), legs=[inside], gateway=GatewayState(leg=outside, nexthop="198.18.4.1")
            )
        ],
    )  # fmt: skip


class ConnectedLab(FabricLab):
    """A host with a cable into a small world, whose only machine is the host's gateway too."""

    def __init__(self) -> None:
        self.world = Namespace(f"lab-world-{uuid.uuid4().hex[:6]}")
        self.world.create()
        self.listeners: list[socket.socket] = []
        super().__init__(egress=True)

    def _engine(self) -> KernelFabric:
        with Links() as links:
            links.settle("lo")
            links.cable("world0", "host0", self.world)
            links.settle("world0")
            links.addresses("world0", [f"{HOST}/24"])
            links.routes({"0.0.0.0/0": (WORLD, "world0")})
        self.world.visit(self._settle_world)
        self.listeners.append(self.world.visit(lambda: socket.create_server((WORLD, PUBLIC_SERVICE))))
        self.listeners.append(socket.create_server(("127.0.0.1", PRIVATE_SERVICE)))
        return super()._engine()

    def _settle_world(self) -> None:
        with Links() as links:
            links.settle("lo")
            links.settle("host0")
            links.addresses("host0", [f"{WORLD}/24"])

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()
        super().close()
        self.world.delete()


@pytest.fixture
def connected() -> Iterator[ConnectedLab]:
    found = ConnectedLab()
    try:
        if not found.fabric.capabilities.egress:
            pytest.skip(found.fabric.capabilities.missing["egress"])
        assert found.apply(state()).failed == {}
        found.boot(GUEST)
        yield found
    finally:
        found.close()


def test_guests_reach_the_world_and_not_the_hosts_loopback(connected: ConnectedLab) -> None:
    assert eventually(lambda: connected.tcp(GUEST, WORLD, PUBLIC_SERVICE))
    assert connected.tcp(None, "127.0.0.1", PRIVATE_SERVICE), "it is there"
    assert not connected.tcp(GUEST, WORLD, PRIVATE_SERVICE), "as the gateway, under whose address pasta would hide it"
    assert not connected.tcp(GUEST, HOST, PRIVATE_SERVICE)
    assert not connected.tcp(GUEST, "198.18.4.1", PRIVATE_SERVICE)
    assert not connected.tcp(GUEST, "169.254.1.1", PRIVATE_SERVICE)


def test_pasta_that_has_ended_is_started_again(connected: ConnectedLab) -> None:
    assert eventually(lambda: connected.tcp(GUEST, WORLD, PUBLIC_SERVICE))
    pid = Path(f"/run/cumulet-{connected.mark}-pasta.pid")
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert eventually(lambda: not connected.tcp(GUEST, WORLD, PUBLIC_SERVICE))
    connected.host.visit(connected.fabric.repair)
    assert eventually(lambda: connected.tcp(GUEST, WORLD, PUBLIC_SERVICE))
