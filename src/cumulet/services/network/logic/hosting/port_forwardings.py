# SPDX-License-Identifier: Apache-2.0
"""What routers of a host do for floating IPs that forward ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic import port_forwardings, spread
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import common
from cumulet.services.network.types import FloatingIp, ForwardState, HostState, Router
from cumulet.services.network.types.port_forwardings import WITH_PORTS, PortForwarding
from cumulet.services.network.types.states import gateway_on

_NAME = "port_forwardings"


def _concern(source: Source, keys: set[str]) -> set[str]:
    held = common.by_id(source, PortForwarding, keys).values()
    floating = common.by_id(source, FloatingIp, {each.floatingip_id for each in held}).values()
    routers = common.by_id(source, Router, {each.router_id for each in floating if each.router_id is not None})
    return spread.hosts_of(source, routers.values())


class PortForwardings(Feature):
    """Routers' `forwards`."""

    concerns: Mapping[type, Concern] = {PortForwarding: _concern}

    def take(self, source: Source, rows: Snapshot) -> None:
        forwarding = [floating.id for floating in rows.floating if port_forwardings.are_of(floating)]
        if forwarding:
            rows.more[_NAME] = common.find_all(source, PortForwarding, floatingip_id=forwarding)

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        if _NAME not in rows.more:
            return state
        floating = {each.id: each for each in rows.floating}
        ways = {router.id: router.gateways for router in state.routers}
        found: dict[str | None, list[ForwardState]] = defaultdict(list)
        for each in sorted(rows.more[_NAME], key=lambda one: one.id):
            if each.protocol in WITH_PORTS:
                outside = floating[each.floatingip_id]
                gateway = gateway_on(ways.get(outside.router_id or "", []), outside.floating_network_id)
                found[outside.router_id].append(_forward(each, outside.floating_ip_address, gateway))
        routers = [msgspec.structs.replace(router, forwards=found.get(router.id, [])) for router in state.routers]
        return msgspec.structs.replace(state, routers=routers)


def _forward(each: PortForwarding, address: str, gateway: str) -> ForwardState:
    return ForwardState(
        address=address,
        protocol=each.protocol,
        low=each.external_low,
        high=each.external_high,
        fixed=each.internal_ip_address,
        fixed_low=each.internal_low,
        fixed_high=each.internal_high,
        gateway=gateway,
    )
