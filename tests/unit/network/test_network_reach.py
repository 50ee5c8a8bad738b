# SPDX-License-Identifier: Apache-2.0
"""What packets from outside would meet: IPv4 hides behind its router, IPv6 does not."""

from __future__ import annotations

import msgspec
import pytest

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
    reach,
)

PORT = PortState(
    id="p", network_id="n", mac="fa:16:3e:00:00:01", groups=["g"],
    addresses=[
        FixedAddress(address="10.1.0.5", prefix=24, subnet_id="s4"),
        FixedAddress(address="fd00:1::5", prefix=64, subnet_id="s6"),
    ],
)  # fmt: skip
GATEWAY = GatewayState(
    leg=LegState(port_id="gw", network_id="x", mac="fa:16:3e:00:00:02", addresses=["198.18.4.10/24", "fd00:9::10/64"])
)
LEG = LegState(port_id="leg", network_id="n", mac="fa:16:3e:00:00:03", addresses=["10.1.0.1/24", "fd00:1::1/64"])
STATE = HostState(
    networks=[NetworkState(id="n", mtu=1450), NetworkState(id="x", mtu=1500, physical="public")],
    ports=[PORT],
    groups=[GroupState(id="g", rules=[RuleState(direction="ingress", version=version) for version in (4, 6)])],
    routers=[RouterState(id="r", legs=[LEG], gateway=GATEWAY)],
)


def arrives(destination: str, source: str, **words: object) -> bool:
    router = msgspec.structs.replace(STATE.routers[0], gateway=msgspec.structs.replace(GATEWAY, **words))
    state = msgspec.structs.replace(STATE, routers=[router])
    return reach.reaches(state, reach.Packet(destination=destination, source=source))


def test_source_nat_hides_ipv4_alone():
    assert arrives("fd00:1::5", "fd00:99::1")
    assert not arrives("10.1.0.5", "192.0.2.1")
    assert arrives("10.1.0.5", "192.0.2.1", snat=False)


@pytest.mark.parametrize("destination", ["fd00:1::6", "fd00:2::5"])
def test_what_nobody_has_is_not_reached(destination):
    assert not arrives(destination, "fd00:99::1")


def test_groups_still_decide():
    closed = msgspec.structs.replace(STATE, groups=[GroupState(id="g")])
    assert not reach.reaches(closed, reach.Packet(destination="fd00:1::5", source="fd00:99::1"))
