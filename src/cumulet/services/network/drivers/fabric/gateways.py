# SPDX-License-Identifier: Apache-2.0
"""Routers with several gateways: what came in by one goes back by it, and what has an address of one leaves by it.

Each gateway has a number, which stands in the marks of its connections and names a table of routes with its default
route alone. A connection keeps the gateway that its first packet took. Routers with one gateway have none of this.
"""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.services.network.drivers.fabric import names, routing, watched
from cumulet.services.network.types import GatewayState, RouterState

_SHIFT = 8  # from a gateway's number to its mark; marks below have other meanings
_MOST = routing.MARKED >> _SHIFT
_TABLES = 1000

_RULES = """
map origin {{ type ipv4_addr : mark; {origin} }}
chain arrive {{ type filter hook prerouting priority mangle;
{arrive}
iifname "qr-*" ct mark and {bits:#x} != 0 meta mark set ct mark
iifname "qr-*" ct mark and {bits:#x} == 0 meta mark set ip saddr map @origin
}}
chain own {{ type route hook output priority mangle;
ct mark and {bits:#x} != 0 meta mark set ct mark
}}
chain leave {{ type filter hook postrouting priority mangle;
{leave}
}}
chain between {{ type filter hook forward priority -1;
iifname "qg-*" oifname "qg-*" ct state new drop
}}"""


def numbers(router: RouterState) -> dict[str, int]:
    """The gateways' numbers by port: the same as long as a gateway is there; none where there is but one."""
    found: dict[str, int] = {}
    for way in sorted(router.gateways, key=lambda way: way.leg.port_id):
        number = int(way.leg.port_id.replace("-", "")[:6], 16) % _MOST + 1
        while number in found.values():
            number = number % _MOST + 1
        found[way.leg.port_id] = number
    return found if len(found) > 1 else {}


def marks(router: RouterState) -> dict[int, int]:
    """The table of routes for each mark."""
    return {number << _SHIFT: _TABLES + number for number in numbers(router).values()}


def table(router: RouterState, way: GatewayState) -> int:
    """The table of routes that is the gateway's own."""
    return _TABLES + numbers(router)[way.leg.port_id]


def rules(router: RouterState) -> str:
    """What the router's inet table has besides, "" for routers with one gateway."""
    known = numbers(router)
    if not known:
        return ""
    told = [(names.outer_leg(key), f"{number << _SHIFT:#x}") for key, number in known.items()]
    origins: dict[str, str] = {}
    for item in sorted(router.floating, key=lambda item: item.address):
        way = router.gateway_of(item)
        if way is not None:
            origins.setdefault(item.fixed, f"{known[way.leg.port_id] << _SHIFT:#x}")
    return _RULES.format(
        origin=_elements(f"{fixed} : {mark}" for fixed, mark in origins.items()),
        arrive="\n".join(f'iifname "{device}" ct state new ct mark set {mark}' for device, mark in told),
        leave="\n".join(_leaving(device, mark, is_watched=bool(watched.of(router))) for device, mark in told),
        bits=routing.MARKED,
    )


def _leaving(device: str, mark: str, *, is_watched: bool) -> str:
    """A connection whose gateway's next hop is silent waits: none of another's would know it."""
    bits = f"ct mark and {routing.MARKED:#x}"
    waits = f'oifname "{device}" {bits} != 0 {bits} != {mark} drop\n' if is_watched else ""
    return f'{waits}oifname "{device}" ct state new ct mark set {mark}'


def _elements(items: Iterable[str]) -> str:
    listed = ", ".join(items)
    return f"elements = {{ {listed} }};" if listed else ""
