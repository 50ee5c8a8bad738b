# SPDX-License-Identifier: Apache-2.0
"""What each host has of routers that are on all hosts of their networks' ports."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic import addressing, agents, distributed
from cumulet.services.network.logic.hosting.base import Feature, Snapshot
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.store import ha as store
from cumulet.services.network.types import (
    OWNERS_INSIDE,
    TUNNEL,
    Agent,
    Allocation,
    DistributedState,
    GatewayState,
    HostState,
    LegState,
    Port,
    RemoteState,
    Router,
    RouterState,
)

_NAME = "distributed"


class _Spread(NamedTuple):
    """The distributed routers that are here, by id.

    `snat` are their further ports, which hold `held`; `floating` says on which host each floating IP is; `ends` are the
    tunnels' addresses of their hosts, by router and host.
    """

    routers: dict[str, Router]
    snat: dict[str, list[Port]]
    held: dict[str, list[Allocation]]
    floating: dict[str, str]
    ends: dict[str, dict[str, str]]


class DistributedRouters(Feature):
    """Routers' `distributed`, and what of them is not on this host."""

    def take(self, source: Source, rows: Snapshot) -> None:
        hosts = {one.id: store.hosts_of_ports(source, one.id) for one in rows.routers if one.distributed}
        routers = {router.id: router for router in rows.routers if hosts.get(router.id)}
        if not routers:
            return
        snat: dict[str, list[Port]] = {key: [] for key in routers}
        for port in distributed.central_ports(source, routers):
            snat[port.device_id].append(port)
        ends = agents.endpoints(source, {host for listed in hosts.values() for host in listed})
        rows.more[_NAME] = _Spread(
            routers=routers,
            snat=snat,
            held=addresses.of_ports(source, [port.id for listed in snat.values() for port in listed]),
            floating=_floating(source, rows, routers),
            ends={key: {host: ends[host] for host in listed if ends.get(host)} for key, listed in hosts.items()},
        )

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        if _NAME not in rows.more:
            return state
        spread: _Spread = rows.more[_NAME]
        routers = [_part(rows, spread, one) if one.id in spread.routers else one for one in state.routers]
        inside = {
            port.id for port in rows.far if port.device_id in spread.routers and port.device_owner in OWNERS_INSIDE
        }
        remotes = [remote for remote in state.remotes if remote.id not in inside]
        remotes += [leg for one in routers if one.id in spread.routers for leg in _legs_elsewhere(rows, spread, one)]
        return msgspec.structs.replace(state, routers=routers, remotes=sorted(remotes, key=lambda one: one.id))


def central_ports(rows: Snapshot, router_id: str) -> list[Port]:
    """The further ports of a distributed router."""
    return rows.more[_NAME].snat.get(router_id, []) if _NAME in rows.more else []


def _floating(source: Source, rows: Snapshot, routers: dict[str, Router]) -> dict[str, str]:
    """On which host each floating IP is: its port's, where that leads outside, or else the central one."""
    listed = [one for one in rows.floating if one.router_id in routers]
    ports = common.by_id(source, Port, {one.port_id for one in listed if one.port_id is not None}) if listed else {}
    hosts = {port.host for port in ports.values()} - {""}
    known = {agent.host: agent for agent in common.find_all(source, Agent, host=hosts)} if hosts else {}
    wires = {key: lookups.wires_of(source, key) for key in {str(one.router_id) for one in listed}}
    found = {}
    for one in listed:
        wired = wires[str(one.router_id)]
        host = ports[one.port_id].host if one.port_id in ports else ""
        found[one.floating_ip_address] = (
            host if distributed.is_wired(known.get(host), wired) else routers[str(one.router_id)].host
        )
    return found


def _part(rows: Snapshot, spread: _Spread, state: RouterState) -> RouterState:
    """What this host has of the router. Floating IPs of gateways beside the first are on the central one."""
    router = spread.routers[state.id]
    is_central = router.host == rows.host
    places = {
        one.address: spread.floating.get(one.address) if state.gateway_of(one) == state.gateway else None
        for one in state.floating
    }
    floating = [one for one in state.floating if (places[one.address] or router.host) == rows.host]
    legs = {leg.network_id: leg for leg in state.legs}
    snat = [_leg(rows, spread, port, legs) for port in spread.snat[state.id] if port.network_id in legs]
    own = DistributedState(central=is_central, snat=sorted(snat, key=lambda leg: leg.port_id))
    if is_central:
        return msgspec.structs.replace(state, distributed=own, floating=floating)
    way = state.gateway if floating else None
    outside = [str(ipaddress.ip_interface(text).network) for text in way.leg.addresses] if way is not None else []
    return msgspec.structs.replace(
        state,
        distributed=msgspec.structs.replace(own, outside=sorted(set(outside))),
        floating=floating,
        gateway=_edge_way(rows.host, way) if way is not None else None,
        more_gateways=[],
        ecmp=False,
        bfd=False,
        forwards=[],
        proxied=None,
    )


def _edge_way(host: str, way: GatewayState) -> GatewayState:
    """The gateway of a host that is not central: floating IPs are all that it has outside, behind a MAC of its own."""
    digits = hashlib.sha256(f"{way.leg.port_id} {host}".encode()).digest()
    mac = "fa:16:3f:" + digits[:3].hex(":")
    return msgspec.structs.replace(way, leg=msgspec.structs.replace(way.leg, mac=mac, addresses=[]))


def _leg(rows: Snapshot, spread: _Spread, port: Port, legs: dict[str, LegState]) -> LegState:
    inside = legs[port.network_id]
    return LegState(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        addresses=[
            f"{item.address}/{addressing.prefix(rows.subnets[item.subnet_id].cidr)}"
            for item in spread.held[port.id]
            if item.subnet_id in rows.subnets
        ],
        scope4=inside.scope4,
        scope6=inside.scope6,
    )


def _legs_elsewhere(rows: Snapshot, spread: _Spread, router: RouterState) -> Iterator[RemoteState]:
    """The router's legs on its other hosts: nothing is sent to them, but what they send comes by tunnels."""
    ends = [end for host, end in sorted(spread.ends[router.id].items()) if host != rows.host]
    for leg in router.legs if ends else ():
        if rows.networks[leg.network_id].network_type == TUNNEL:
            yield RemoteState(
                id=leg.port_id,
                network_id=leg.network_id,
                mac=leg.mac,
                addresses=[text.split("/")[0] for text in leg.addresses],
                endpoint=ends[0],
                router=router.id,
            )
