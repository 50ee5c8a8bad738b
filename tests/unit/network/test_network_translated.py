# SPDX-License-Identifier: Apache-2.0
"""Which of the connections that a router translates mean what they meant."""

from __future__ import annotations

import msgspec
import pytest

from cumulet.services.network.drivers.fabric.conntrack import Entry, Tuple
from cumulet.services.network.drivers.fabric.translated import is_current
from cumulet.services.network.types import FloatingState, ForwardState, GatewayState, LegState, RouterState

GUEST, OTHER, WORLD, FLOATING, FORWARDED = "10.0.0.5", "10.0.0.6", "192.0.2.9", "198.51.100.20", "198.51.100.30"


def leg(key: str, address: str) -> LegState:
    return LegState(port_id=key, network_id=f"net-{key}", mac="", addresses=[f"{address}/24"])


ROUTER = RouterState(
    id="r",
    legs=[leg("in", "10.0.0.1")],
    gateway=GatewayState(leg=leg("out", "198.51.100.2")),
    more_gateways=[GatewayState(leg=leg("more", "203.0.113.2"))],
    floating=[FloatingState(address=FLOATING, fixed=GUEST)],
    forwards=[
        ForwardState(
            address=FORWARDED, protocol="tcp", low=2000, high=2009, fixed=OTHER, fixed_low=20, fixed_high=29
        )
    ],
)  # fmt: skip


def entry(there: tuple[str, str, int], back: tuple[str, str, int]) -> Entry:
    """A TCP connection, by source, destination and destination port; `back` by those of its answers and their port."""
    source, destination, port = there
    answering, answered, own = back
    return Entry(
        zone=0,
        original=Tuple(protocol=6, source=source, destination=destination, source_port=40000, destination_port=port),
        reply=Tuple(protocol=6, source=answering, destination=answered, source_port=own, destination_port=40000),
    )


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ((GUEST, OTHER, 22), (OTHER, GUEST, 22)),
        ((WORLD, FLOATING, 22), (GUEST, WORLD, 22)),
        ((GUEST, WORLD, 22), (WORLD, FLOATING, 22)),
        ((OTHER, WORLD, 22), (WORLD, "198.51.100.2", 22)),
        ((OTHER, WORLD, 22), (WORLD, "203.0.113.2", 22)),
        ((OTHER, FLOATING, 22), (GUEST, "198.51.100.2", 22)),
        ((GUEST, FLOATING, 22), (GUEST, FLOATING, 22)),
        ((WORLD, FORWARDED, 2003), (OTHER, WORLD, 23)),
        ((GUEST, "169.254.169.254", 80), ("10.0.0.1", GUEST, 9697)),
        ((WORLD, "198.51.100.2", 40001), (OTHER, WORLD, 40001)),
    ],
)  # fmt: skip
def test_what_the_router_would_translate_so_goes_on(there: tuple[str, str, int], back: tuple[str, str, int]):
    assert is_current(ROUTER, entry(there, back))


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ((WORLD, FLOATING, 22), (OTHER, WORLD, 22)),
        ((WORLD, "198.51.100.21", 22), (GUEST, WORLD, 22)),
        ((OTHER, WORLD, 22), (WORLD, FLOATING, 22)),
        ((OTHER, WORLD, 22), (WORLD, "198.51.100.99", 22)),
        ((WORLD, FORWARDED, 2003), (OTHER, WORLD, 24)),
        ((WORLD, FORWARDED, 2010), (OTHER, WORLD, 30)),
        ((WORLD, FORWARDED, 2003), (GUEST, WORLD, 23)),
    ],
)  # fmt: skip
def test_what_means_another_by_now_ends(there: tuple[str, str, int], back: tuple[str, str, int]):
    assert not is_current(ROUTER, entry(there, back))


def test_without_its_gateway_a_router_translates_nothing():
    bare = msgspec.structs.replace(ROUTER, gateway=None, more_gateways=[], floating=[], forwards=[])
    assert is_current(bare, entry((GUEST, OTHER, 22), (OTHER, GUEST, 22)))
    assert not is_current(bare, entry((OTHER, WORLD, 22), (WORLD, "198.51.100.2", 22)))
