# SPDX-License-Identifier: Apache-2.0
"""Address scopes: networks of one are routed as they are, those of different ones meet by translation alone."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

import msgspec
import pytest
from network_labs import FabricLab, FakeLab, eventually, ping, ping6
from test_network_dual_stack import EGRESS, FAR4, FAR6, GATEWAY, PUBLIC, SETTLED, configure, lay

from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    FixedAddress,
    FloatingState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    RuleState,
    SubnetState,
    reach,
)

A, B, C, GROUP, ROUTER = (str(uuid.uuid4()) for _ in range(5))
NETWORKS = {key: str(uuid.uuid4()) for key in (A, B, C)}
NUMBERS = {A: 1, B: 2, C: 3}
FLOATING = "198.18.4.30"
X, Y = "scope-x", "scope-y"


def port(key: str) -> PortState:
    number = NUMBERS[key]
    fixed = [
        FixedAddress(address=f"10.{number}.0.11", prefix=24, subnet_id=f"four{number}"),
        FixedAddress(address=f"fd00:{number}::11", prefix=64, subnet_id=f"six{number}"),
    ]
    return PortState(
        id=key, network_id=NETWORKS[key], mac=f"fa:16:3e:00:07:0{number}", addresses=fixed, groups=[GROUP]
    )  # fmt: skip


def network(key: str) -> NetworkState:
    number = NUMBERS[key]
    return NetworkState(
        id=NETWORKS[key], mtu=1450, segment=number,
        subnets=[
            SubnetState(id=f"four{number}", cidr=f"10.{number}.0.0/24", gateway=f"10.{number}.0.1"),
            SubnetState(id=f"six{number}", cidr=f"fd00:{number}::/64", version=6, gateway=f"fd00:{number}::1"),
        ],
    )  # fmt: skip


def leg(key: str, scope: str) -> LegState:
    number = NUMBERS[key]
    return LegState(
        port_id=f"{number}{str(uuid.uuid4())[1:]}", network_id=NETWORKS[key], mac=f"fa:16:3e:00:08:0{number}",
        addresses=[f"10.{number}.0.1/24", f"fd00:{number}::1/64"], scope4=scope, scope6=scope,
    )  # fmt: skip


def state(*, snat: bool = True) -> HostState:
    """A and C are in the outside's scope, B is in another."""
    outer = msgspec.structs.replace(GATEWAY.leg, scope4=X, scope6=X)
    router = RouterState(
        id=ROUTER,
        legs=[leg(A, X), leg(B, Y), leg(C, X)],
        gateway=msgspec.structs.replace(GATEWAY, leg=outer, snat=snat),
        floating=[FloatingState(address=FLOATING, fixed="10.2.0.11")],
    )
    rules = [*EGRESS, *(RuleState(direction="ingress", version=version) for version in (4, 6))]
    return HostState(
        generation=1,
        networks=[*(network(key) for key in (A, B, C)), NetworkState(id=PUBLIC, mtu=1500, physical="public")],
        ports=[port(key) for key in (A, B, C)],
        groups=[GroupState(id=GROUP, rules=rules)],
        routers=[router],
    )


class Packets:
    """The kernel's engine, with a namespace outside that has a route into A and none into the others."""

    def __init__(self) -> None:
        self._lab = FabricLab(devices={"public": "nic0"})
        self._outside = Namespace(f"lab-{self._lab.mark}-world")
        self._outside.create()
        self._lab.host.visit(lambda: lay(self._outside))
        self._outside.visit(configure)

    def start(self, wanted: HostState) -> None:
        assert self._lab.apply(wanted).failed == {}
        for key in (A, B, C):
            if key not in self._lab.guests:
                self._lab.boot(key)
        assert eventually(lambda: self.passes(A, "fd00:3::11"), SETTLED)

    def passes(self, sender: str | None, address: str) -> bool:
        way: Callable[[str], bool] = ping6 if ":" in address else ping
        space = self._outside if sender is None else self._lab.guests[sender].space
        return space.visit(lambda: way(address))

    def forget_routes(self) -> None:
        """Let the outside know no way into A any more."""

        def forget() -> None:
            with Links() as links:
                links.routes({})

        self._outside.visit(forget)

    def close(self) -> None:
        self._lab.close()
        self._outside.delete()


class Verdicts:
    """The engine in memory."""

    def __init__(self) -> None:
        self._lab = FakeLab()

    def start(self, wanted: HostState) -> None:
        self._lab.apply(wanted)
        for key in (A, B, C):
            self._lab.boot(key)

    def passes(self, sender: str | None, address: str) -> bool:
        sixth = ":" in address
        source = None if sender is not None and not sixth else f"fd00:{NUMBERS[sender]}::11" if sender else None
        outside = (FAR6 if sixth else FAR4) if sender is None else source
        words = {"protocol": 58 if sixth else 1, "low": 128 if sixth else 8, "high": 0}
        return self._lab.fabric.passes(reach.Packet(port=sender, destination=address, source=outside, **words))

    def close(self) -> None:
        self._lab.close()


@pytest.fixture(params=["fake", pytest.param("fabric", marks=pytest.mark.root)])
def place(request):
    if request.param == "fabric" and os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    found = Verdicts() if request.param == "fake" else Packets()
    yield found
    found.close()


def test_scopes_meet_by_translation_alone(place):
    place.start(state())
    assert place.passes(A, "10.3.0.11"), "the same scope"
    assert place.passes(A, "fd00:3::11")
    for there in ("10.2.0.11", "fd00:2::11"):
        assert not place.passes(A, there), "another scope"
    for there in ("10.1.0.11", "fd00:1::11"):
        assert not place.passes(B, there)
    assert place.passes(A, FLOATING), "what is translated may cross"
    assert place.passes(None, FLOATING)
    assert place.passes(None, "10.1.0.11"), "no hiding within a scope"
    assert place.passes(None, "fd00:1::11")
    assert not place.passes(None, "fd00:2::11")
    assert place.passes(A, FAR4)
    assert place.passes(B, FAR4), "by source NAT"
    assert place.passes(A, FAR6)
    assert not place.passes(B, FAR6)


def test_within_a_scope_nothing_is_translated(place):
    place.start(state())
    if isinstance(place, Packets):
        place.forget_routes()
        assert not place.passes(A, FAR4), "the answer finds no way back to the guest's own address"
        assert place.passes(B, FAR4), "this one to the router"


def test_without_source_nat_scopes_end_at_the_gateway(place):
    place.start(state(snat=False))
    assert place.passes(None, "10.1.0.11")
    assert not place.passes(None, "10.2.0.11")
