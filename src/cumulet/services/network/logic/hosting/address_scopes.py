# SPDX-License-Identifier: Apache-2.0
"""The address scopes of the networks that routers join."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic import address_scopes
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import common, lookups
from cumulet.services.network.types import HostState, LegState, RouterState, Subnet, SubnetPool


def _concern(source: Source, keys: set[str]) -> set[str]:
    """A pool may come into a scope after subnets were cut from it."""
    cut = common.find_all(source, Subnet, subnetpool_id=keys)
    return lookups.hosts_on(source, {subnet.network_id for subnet in cut})


class AddressScopes(Feature):
    """Under `address_scopes`: the scope of each network and IP version that has one."""

    concerns: Mapping[type, Concern] = {SubnetPool: _concern}

    def take(self, source: Source, rows: Snapshot) -> None:
        joined = {port.network_id for ports in rows.legs.values() for port in ports}
        found = address_scopes.of_networks(source, [one for one in rows.subnets.values() if one.network_id in joined])
        if found:
            rows.more["address_scopes"] = found

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        scopes: dict[tuple[str, int], str] = rows.more.get("address_scopes", {})
        if not scopes:
            return state
        return msgspec.structs.replace(state, routers=[_with_scopes(router, scopes) for router in state.routers])


def _with_scopes(router: RouterState, scopes: dict[tuple[str, int], str]) -> RouterState:
    def scoped(leg: LegState) -> LegState:
        four, six = (scopes.get((leg.network_id, version), "") for version in (4, 6))
        return msgspec.structs.replace(leg, scope4=four, scope6=six)

    ways = [msgspec.structs.replace(way, leg=scoped(way.leg)) for way in router.gateways]
    return msgspec.structs.replace(
        router,
        legs=[scoped(leg) for leg in router.legs],
        gateway=ways[0] if ways else None,
        more_gateways=ways[1:],
    )
