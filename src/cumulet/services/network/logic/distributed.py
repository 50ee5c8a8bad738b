# SPDX-License-Identifier: Apache-2.0
"""Routers that are on every host with ports on their networks (DVR).

`Router.host` is the central one: what leaves by source NAT does so there. With a gateway, such a router has a further
port on each of its networks, by which other hosts send that there (`network:router_centralized_snat`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import ports, scheduling
from cumulet.services.network.logic.faults import bad
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import OWNER_CENTRAL_SNAT, Agent, Network, Port, Router


def check_change(router: Router, values: dict[str, Any]) -> None:
    """Refuse to make a router distributed, or not, that is up, or will be."""
    wanted = values.get("distributed")
    is_up = router.admin_state_up or values.get("admin_state_up", False)
    if wanted is not None and wanted != router.distributed and is_up:
        reason = "Please set router admin_state_up to False prior to upgrade"
        raise bad("router", f"Cannot change the 'distributed' attribute of active routers. {reason}")


def settle_snat(tx: Tx, router_id: str) -> None:
    """Give the router the further ports that it should have, and no other."""
    router = common.find(tx, Router, router_id)
    if router is None:
        return
    present = central_ports(tx, [router_id])
    held = addresses.of_ports(tx, [port.id for port in present])
    wanted = _wanted(tx, router) if router.distributed and router.gateway_ports else {}
    surplus = []
    for port in present:
        if wanted.get((port.network_id, frozenset(item.subnet_id for item in held[port.id]))) is None:
            surplus.append(port)
        else:
            del wanted[(port.network_id, frozenset(item.subnet_id for item in held[port.id]))]
    ports.remove(tx, surplus)
    networks = common.by_id(tx, Network, {network_id for network_id, _ in wanted})
    for (network_id, subnets), fixed in sorted(wanted.items(), key=lambda each: (each[0][0], sorted(each[0][1]))):
        assert subnets
        ports.make_own(tx, networks[network_id], OWNER_CENTRAL_SNAT, router_id, fixed, host=router.host)


def central_ports(source: Source, router_ids: Iterable[str]) -> list[Port]:
    """The further ports of these routers."""
    return common.find_all(source, Port, device_id=list(router_ids), device_owner=[OWNER_CENTRAL_SNAT])


def is_wired(agent: Agent | None, wires: scheduling.Wires) -> bool:
    """Whether floating IPs of the host's ports are there: it has its part of distributed routers, and leads outside.

    `wires` are the physical networks of the router's gateways.
    """
    if agent is None or not can_take_part(agent):
        return False
    return scheduling.is_gateway(agent) and scheduling.has_wires(agent, wires)


def can_take_part(agent: Agent | None) -> bool:
    """Whether the host said that it has its part of distributed routers."""
    return agent is not None and bool(agent.configurations.get("capabilities", {}).get("distributed"))


def _wanted(tx: Tx, router: Router) -> dict[tuple[str, frozenset[str]], list[dict[str, str]]]:
    """What ports of the router's ask for, by network and subnets: one for each IPv4 subnet, one for all IPv6 ones."""
    inside = lookups.router_interfaces(tx, [router.id])
    held = addresses.of_ports(tx, [port.id for port in inside])
    found: dict[tuple[str, frozenset[str]], list[dict[str, str]]] = {}
    sixth: dict[str, list[str]] = defaultdict(list)
    for port in inside:
        for item in held[port.id]:
            if ":" in item.address:
                sixth[port.network_id].append(item.subnet_id)
            else:
                found[port.network_id, frozenset({item.subnet_id})] = [{"subnet_id": item.subnet_id}]
    for network_id, subnets in sixth.items():
        found[network_id, frozenset(subnets)] = [{"subnet_id": key} for key in subnets]
    return found
