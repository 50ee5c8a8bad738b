# SPDX-License-Identifier: Apache-2.0
"""Which next hops of a router are watched by BFD, and what its rules let through for that.

Packets of these sessions are the router's alone: they are taken from the next hop itself, on the gateway's device, with
the TTL that nobody farther away can send (RFC 5881 5), and are no connections, for else a guest whose packets leave
from the router's address could have one that takes them.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from cumulet.services.network.drivers.fabric import bfd, names
from cumulet.services.network.types import GatewayState, RouterState

_RATE = "limit rate 10/second"  # one in a second is expected
_TRACKING = """
chain watched {{ type filter hook prerouting priority raw;
{arriving}
}}
chain watching {{ type filter hook output priority raw;
{leaving}
}}"""


class Hop(NamedTuple):
    """A next hop, and the gateway's device that leads there."""

    address: str
    device: str


class Watched(NamedTuple):
    """A next hop of a router, and the address that the router has there."""

    router: str
    hop: Hop
    own: str

    @property
    def device(self) -> str:
        return self.hop.device


def of(router: RouterState) -> list[Watched]:
    """All that are watched; one of an IP version that the gateway has no address of is not."""
    if not router.bfd:
        return []
    return [
        Watched(router.id, Hop(address, names.outer_leg(way.leg.port_id)), own)
        for way in router.gateways
        for address in way.hops
        if (own := _own(way, address)) is not None
    ]


def admitted(router: RouterState) -> str:
    """What the router itself takes in."""
    lines = [f"{match} {_RATE} accept" for match in arriving(router)]
    return "\n".join([*lines, f"udp dport {bfd.PORT} drop"]) if lines else ""


def untracked(router: RouterState) -> str:
    """The chains that keep sessions out of connection tracking, "" for routers without."""
    lines = ["\n".join(f"{match} notrack" for match in listed(router)) for listed in (arriving, leaving)]
    return _TRACKING.format(arriving=lines[0], leaving=lines[1]) if lines[0] else ""


def arriving(router: RouterState) -> list[str]:
    """Matches, in nft's words, what next hops say to the router."""
    return [_match(one, "iifname", one.hop.address, one.own) for one in of(router)]


def leaving(router: RouterState) -> list[str]:
    """Matches what the router says to next hops; what it forwards has a lower TTL."""
    return [_match(one, "oifname", one.own, one.hop.address) for one in of(router)]


def _match(one: Watched, device: str, source: str, target: str) -> str:
    family, hops = ("ip6", "hoplimit") if ":" in one.own else ("ip", "ttl")
    ends = f'{device} "{one.device}" {family} saddr {source} {family} daddr {target}'
    return f"{ends} {family} {hops} {bfd.TTL} udp dport {bfd.PORT}"


def _own(way: GatewayState, hop: str) -> str | None:
    """The gateway's address that speaks: best one on the next hop's own network."""
    held = [ipaddress.ip_interface(text) for text in way.leg.addresses if (":" in text) == (":" in hop)]
    near = [one for one in held if ipaddress.ip_address(hop) in one.network]
    return next((str(one.ip) for one in [*near, *held]), None)
