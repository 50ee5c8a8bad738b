# SPDX-License-Identifier: Apache-2.0
"""Which router translates between a floating IP and what it stands for."""

from __future__ import annotations

from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import Router, Subnet


def between(tx: Tx, network_id: str, subnet_id: str) -> Router | None:
    """The router between the external network and the subnet; the one at the subnet's gateway is preferred."""
    subnet = common.find(tx, Subnet, subnet_id)
    candidates: list[tuple[bool, Router]] = []
    for router in lookups.routers_with_gateway_on(tx, network_id):
        inside = [one.id for one in lookups.router_interfaces(tx, [router.id])]
        for items in addresses.of_ports(tx, inside).values():
            for item in items:
                if item.subnet_id == subnet_id:
                    candidates.append((subnet is not None and item.address == subnet.gateway_ip, router))
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def chosen(tx: Tx, ctx: Context, key: str, network_id: str) -> Router:
    """The router that the caller names: one with a gateway on the external network, wherever it leads inside."""
    router = access.get(tx, ctx, Router, key)
    if network_id not in router.gateway_networks:
        raise fault("Conflict", message=f"Router {key} has no external gateway on network {network_id}")
    return router
