# SPDX-License-Identifier: Apache-2.0
"""What stands is left alone, what does not is made good, and many ports are as sure as few."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import msgspec
import pytest
from network_labs import FabricLab, eventually, ping, unacknowledged
from pyroute2 import IPRoute
from test_fabric import FLOATING_A, NET1, OPEN, ROUTER, STATE, SUBNET1, A, C, port, started

from cumulet.services.network.drivers.fabric import names, nft, taps
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace

pytestmark = pytest.mark.root

BEHIND = "10.1.0.11"  # the address of A, which C reaches through the router
ROUNDS = 3


@pytest.fixture
def lab() -> Iterator[FabricLab]:
    place = FabricLab()
    yield place
    place.close()


def upset(lab: FabricLab) -> None:
    """What those who talk must not notice."""
    for _ in range(ROUNDS):
        lab.restart()
        assert lab.apply(STATE).changes == 0
        assert lab.host.visit(lab.fabric.repair).changes == 0


def test_no_packet_is_lost_when_the_agent_comes_anew(lab: FabricLab):
    started(lab, A, C)
    assert lab.ping(C, BEHIND)
    answers: list[bool] = []
    done = threading.Event()

    def talk() -> None:
        while not done.is_set():
            answers.append(ping(BEHIND, tries=1, patience=2.0))
            time.sleep(0.005)

    talker = threading.Thread(target=lambda: lab.guests[C].space.visit(talk))
    talker.start()
    upset(lab)
    done.set()
    talker.join()
    assert len(answers) > 20
    assert all(answers)


def test_connections_outlive_the_agent(lab: FabricLab):
    started(lab, A, C)
    near = lab.guests[C].space.visit(lambda: socket.create_connection((BEHIND, 22), 2))
    outside = lab.host.visit(lambda: socket.create_connection((FLOATING_A, 22), 2))
    with near, outside:
        upset(lab)
        for stream in (near, outside):
            stream.sendall(b"still here")
            assert eventually(lambda own=stream: unacknowledged(own) == 0)


def _in_fabric(lab: FabricLab) -> Namespace:
    return Namespace(names.fabric(lab.mark))


def _in_router(lab: FabricLab) -> Namespace:
    return Namespace(names.router_namespace(lab.mark, ROUTER))


def _without_address() -> None:
    with Links() as links:
        leg = next(name for name in links.devices if name.startswith("qr-"))
        links.addresses(leg, [])


def _without_routes() -> None:
    with Links() as links:
        links.routes({})


def _down() -> None:
    with Links() as links:
        links.settle(names.bridge(NET1), up=False)


def _off_the_bridge() -> None:
    with Links() as links, IPRoute() as route:
        route.link("set", index=links.devices[names.tap(A)].index, master=0)


def _without_leg() -> None:
    with Links() as links:
        links.remove(next(name for name in links.devices if name.startswith("rt-")))


@pytest.mark.parametrize(
    ("where", "harm"),
    [
        (_in_router, _without_address),
        (_in_router, _without_routes),
        (_in_fabric, _down),
        (_in_fabric, _off_the_bridge),
        (_in_fabric, _without_leg),
    ],
)
def test_what_somebody_took_away_comes_back(
    lab: FabricLab, where: Callable[[FabricLab], Namespace], harm: Callable[[], None]
):
    started(lab, A, C)
    assert lab.tcp(None, FLOATING_A, 22)
    assert all(layer.sound for layer in lab.fabric.look(A))
    where(lab).visit(harm)
    assert where is _in_router or not all(layer.sound for layer in lab.fabric.look(A))
    assert lab.host.visit(lab.fabric.repair).changes > 0
    assert lab.ping(C, BEHIND)
    assert lab.tcp(None, FLOATING_A, 22)
    assert lab.host.visit(lab.fabric.repair).changes == 0


def test_a_host_of_five_hundred_ports(lab: FabricLab):
    started(lab, A, C)
    many = [
        port(str(uuid.UUID(int=(number + 9) << 96)), NET1, SUBNET1, f"10.1.{1 + number // 250}.{number % 250}", [OPEN])
        for number in range(498)
    ]
    members = ["10.1.0.11", *(one.addresses[0].address for one in many)]
    groups = [msgspec.structs.replace(group, members=members) if group.id == OPEN else group for group in STATE.groups]
    state = msgspec.structs.replace(STATE, generation=2, ports=[*STATE.ports, *many], groups=groups)
    assert lab.apply(state).failed == {}
    handles = [lab.fabric.open_tap(one.id) for one in many]
    try:
        assert len(lab.fabric.report().ports) == len(many) + 2
        assert lab.host.visit(lab.fabric.repair).changes == 0
        assert lab.ping(C, BEHIND)
        fewer = msgspec.structs.replace(state, generation=3, ports=[*STATE.ports, *many[:250]])
        assert lab.apply(fewer).failed == {}
        assert len(lab.fabric.report().ports) == 250 + 2
        assert lab.tcp(None, FLOATING_A, 22)
    finally:
        for handle in handles:
            os.close(handle)
    assert eventually(lambda: len(_in_fabric(lab).visit(_taps)) == 2)


def _taps() -> list[str]:
    return [name for _, name in socket.if_nameindex() if name.startswith(taps.Taps.prefixes)]


def test_each_layer_of_a_port_is_looked_at(lab: FabricLab):
    started(lab, A)
    names_of = ["told", "switch", "bridge", "rules", "services", "router", "device"]
    assert [layer.name for layer in lab.fabric.look(A)] == names_of
    found = {layer.name: layer for layer in lab.fabric.look(C)}
    assert not found["device"].sound
    assert "no hypervisor" in found["device"].words
    _in_fabric(lab).visit(lambda: nft.load("flush table bridge cumulet\ndelete table bridge cumulet"))
    assert not {layer.name: layer for layer in lab.fabric.look(A)}["rules"].sound
    assert [layer.sound for layer in lab.fabric.look(str(uuid.uuid4()))] == [False]
