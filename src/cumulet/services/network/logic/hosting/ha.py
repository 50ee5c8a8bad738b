# SPDX-License-Identifier: Apache-2.0
"""Routers that several hosts share: how they agree on it, and where the others' ports lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic import agents
from cumulet.services.network.logic.hosting.base import Feature, Snapshot
from cumulet.services.network.store import common
from cumulet.services.network.store import ha as store
from cumulet.services.network.types import (
    OWNER_HA_INTERFACE,
    OWNER_ROUTER_GATEWAY,
    TUNNEL,
    HaState,
    HostState,
    RemoteState,
    Router,
    RouterState,
)

_NAME = "ha"


class _Shared(NamedTuple):
    """The hosts of each shared router in their order, by its id, and their tunnels' addresses."""

    hosts: dict[str, list[str]]
    ends: dict[str, str]

    def others(self, router_id: str, host: str) -> list[str]:
        """Where the tunnels of the router's hosts end, but for this one's."""
        found = (self.ends.get(each, "") for each in self.hosts.get(router_id, []) if each != host)
        return [end for end in found if end and end != self.ends.get(host)]


class HaRouters(Feature):
    """Routers' `ha`, and the remote ports that are legs of such routers."""

    def take(self, source: Source, rows: Snapshot) -> None:
        here = {router.id for router in rows.routers if router.is_shared}
        owners = (OWNER_HA_INTERFACE, OWNER_ROUTER_GATEWAY)
        far = {port.device_id for port in rows.far if port.device_owner in owners} - {one.id for one in rows.routers}
        if far:
            here |= {router.id for router in common.by_id(source, Router, far).values() if router.is_shared}
        if here:
            hosts = {key: [place.host for place in held] for key, held in store.places(source, here).items()}
            ends = agents.endpoints(source, {rows.host, *(host for listed in hosts.values() for host in listed)})
            rows.more[_NAME] = _Shared(hosts, ends)

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        if _NAME not in rows.more:
            return state
        shared: _Shared = rows.more[_NAME]
        placed = {router.id: router for router in rows.routers}
        routers = [_with_ha(rows, shared, router, placed[router.id]) for router in state.routers]
        devices = {port.id: port.device_id for port in rows.far if port.device_id in shared.hosts}
        remotes = [
            _with_standbys(rows, shared, remote, devices[remote.id]) if remote.id in devices else remote
            for remote in state.remotes
        ]
        remotes += [one for router in routers if router.ha is not None for one in _own_legs(rows, shared, router)]
        return msgspec.structs.replace(state, routers=routers, remotes=sorted(remotes, key=lambda one: one.id))


def _with_ha(rows: Snapshot, shared: _Shared, state: RouterState, router: Router) -> RouterState:
    hosts = shared.hosts.get(router.id, [])
    if rows.host not in hosts:
        return state
    ha = HaState(
        rank=hosts.index(rows.host), others=shared.others(router.id, rows.host), active=router.host == rows.host
    )
    return msgspec.structs.replace(state, ha=ha)


def _with_standbys(rows: Snapshot, shared: _Shared, remote: RemoteState, router_id: str) -> RemoteState:
    others = [end for end in shared.others(router_id, rows.host) if end != remote.endpoint]
    return msgspec.structs.replace(remote, router=router_id, standbys=others)


def _own_legs(rows: Snapshot, shared: _Shared, router: RouterState) -> Iterator[RemoteState]:
    """The legs that are here now, as they may be on the others at any moment."""
    others = shared.others(router.id, rows.host)
    bound = {port.id for port in rows.legs.get(router.id, []) if port.host == rows.host}
    gateways = [way.leg for way in router.gateways]
    for leg in (*router.legs, *gateways) if others else ():
        network = rows.networks[leg.network_id]
        if leg.port_id in bound and network.network_type == TUNNEL:
            yield RemoteState(
                id=leg.port_id,
                network_id=leg.network_id,
                mac=leg.mac,
                addresses=[text.split("/")[0] for text in leg.addresses],
                endpoint=others[0],
                router=router.id,
                standbys=others[1:],
            )
