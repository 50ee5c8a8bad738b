# SPDX-License-Identifier: Apache-2.0
"""Routers that are on every host of their networks' ports, each with the same MACs and addresses.

What one network sends another is routed where it is sent, and goes straight to the receiver's host. Floating IPs are on
the hosts of their ports. What leaves by source NAT goes to the one host that is central, by a port of its own on each
network. A host that is not central is called an edge here.

What a router would ask its neighbours on other hosts it knows: the answers would reach the router there. What it tells
them stays here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import partial

from cumulet.services.network.drivers.fabric import names, nft
from cumulet.services.network.drivers.fabric.links import Links, Neighbour
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.routing import Hop
from cumulet.services.network.drivers.fabric.short_links import carried
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import HostState, LegState, RouterState

TABLE = "cumulet_dvr"
_SHIFT = 8  # from a number to its mark, as gateways have them; edges have one gateway at most
_TABLES = 1000
_FLOATING = 1  # the number of what leaves from here; those of networks follow
OUTWARD = _TABLES + _FLOATING  # the table of what leaves from here

_BRIDGE = """
set plugs {{ type ifname; elements = {{ {plugs} }} }}
chain out {{ type filter hook forward priority -20;
iifname @plugs oifname "vx-*" ether type arp drop
iifname @plugs oifname "vx-*" icmpv6 type {{ 133, 134, 135, 136 }} drop
}}
"""
_MARKS = """
map origin {{ type ipv4_addr : mark; {origin} }}
map road {{ type ipv4_addr : mark; flags interval; {road} }}
map road6 {{ type ipv6_addr : mark; flags interval; {road6} }}
chain choose {{ type filter hook prerouting priority mangle;
iifname "qr-*" meta mark set ip saddr map @road
iifname "qr-*" meta mark set ip6 saddr map @road6
iifname "qr-*" meta mark set ip saddr map @origin
}}"""


class Distributed(Stage):
    """Keeps what distributed routers say on their hosts, and tells them their neighbours on others."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._loaded: str | None = None
        self._told: dict[str, set[Neighbour]] = {}

    def plug(self, links: Links, run: Run) -> None:
        plugs = sorted(names.router_plug(leg.port_id) for one in _all(run.state) for leg in one.legs)
        text = _BRIDGE.format(plugs=", ".join(f'"{plug}"' for plug in plugs)) if plugs else ""
        if run.known and text == self._loaded:
            return
        if text:
            run.changes += nft.replace("bridge", TABLE, text, thorough=not run.known)
        else:
            run.changes += nft.remove("bridge", TABLE)
        self._loaded = text

    def settle(self, run: Run) -> None:
        told, self._told = self._told, {}
        for router in _all(run.state):
            with run.guarded(router.id):
                wanted = set(_neighbours(carried(router, run.networks), run.state))
                if not run.known or wanted != told.get(router.id):
                    space = Namespace(names.router_namespace(self._ground.options.mark, router.id))
                    run.changes += space.visit(partial(_tell, wanted))
                self._told[router.id] = wanted


def is_edge(router: RouterState) -> bool:
    """Whether the router is distributed, and another host is its central one."""
    return router.distributed is not None and not router.distributed.central


def snat_legs(router: RouterState) -> list[LegState]:
    """The legs by which edges reach the central host, there."""
    return router.distributed.snat if router.distributed is not None and router.distributed.central else []


def roads(router: RouterState, floating: dict[str, frozenset[Hop]]) -> dict[int, tuple[int, dict[str, frozenset[Hop]]]]:
    """An edge's tables of routes by mark; `floating` are the default routes of what leaves from here."""
    found: dict[int, tuple[int, dict[str, frozenset[Hop]]]] = {}
    if not is_edge(router):
        return found
    if floating:
        found[_FLOATING << _SHIFT] = (OUTWARD, floating)
    for number, (leg, snat) in enumerate(_pairs(router), start=_FLOATING + 1):
        hops = {
            "::/0" if ":" in text else "0.0.0.0/0": frozenset({(text.split("/")[0], names.inner_leg(leg.port_id))})
            for text in snat.addresses
        }
        found[number << _SHIFT] = (_TABLES + number, hops)
    return found


def outside(router: RouterState) -> list[str]:
    """The IPv4 networks that an edge's gateway is on."""
    return [cidr for cidr in router.distributed.outside if ":" not in cidr] if router.distributed is not None else []


def rules(router: RouterState) -> str:
    """What an edge's inet table has besides: which way out is for whom."""
    if not is_edge(router):
        return ""
    road: dict[bool, list[str]] = {False: [], True: []}
    for number, (_, snat) in enumerate(_pairs(router), start=_FLOATING + 1):
        for text in snat.addresses:
            road[":" in text].append(f"{ipaddress.ip_interface(text).network} : {number << _SHIFT:#x}")
    fixed = sorted({item.fixed for item in router.floating})
    return _MARKS.format(
        origin=_elements(f"{one} : {_FLOATING << _SHIFT:#x}" for one in fixed),
        road=_elements(sorted(set(road[False]))),
        road6=_elements(sorted(set(road[True]))),
    )


def _all(state: HostState) -> Iterable[RouterState]:
    return (router for router in state.routers if router.distributed is not None)


def _pairs(router: RouterState) -> list[tuple[LegState, LegState]]:
    """Each leg of the central host that leads out, with the leg here from which it is reached."""
    assert router.distributed is not None
    found = []
    for snat in router.distributed.snat:
        inside = {str(ipaddress.ip_interface(text).network) for text in snat.addresses}
        for leg in router.legs:
            if leg.network_id == snat.network_id and inside & {
                str(ipaddress.ip_interface(text).network) for text in leg.addresses
            }:
                found.append((leg, snat))
                break
    return found


def _neighbours(router: RouterState, state: HostState) -> Iterable[Neighbour]:
    own = {leg.port_id for leg in router.legs}
    for remote in state.remotes:
        for leg in router.legs if remote.id not in own else ():
            if leg.network_id == remote.network_id:
                networks = [ipaddress.ip_interface(text).network for text in leg.addresses]
                for address in remote.addresses:
                    if any(ipaddress.ip_address(address) in network for network in networks):
                        yield Neighbour(names.inner_leg(leg.port_id), address, remote.mac)


def _tell(wanted: set[Neighbour]) -> int:
    with Links() as links:
        present = links.neighbours(every=True)
        kept = {(entry.device, entry.address) for entry in wanted}
        for entry in sorted(wanted - present):
            links.neighbour("replace", entry)
        for entry in sorted(present - wanted):
            if (entry.device, entry.address) not in kept:
                links.neighbour("del", entry)
        return links.changes


def _elements(items: Iterable[str]) -> str:
    listed = ", ".join(items)
    return f"elements = {{ {listed} }};" if listed else ""
