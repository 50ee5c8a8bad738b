# SPDX-License-Identifier: Apache-2.0
"""On which host a router lives: the live one with the fewest, chosen again when that one is dead or disabled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from datetime import timedelta

from cumulet.kernel import clock
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import agent_kinds, agents, zones
from cumulet.services.network.store import common, lookups
from cumulet.services.network.types import DOWN, FLAT, Agent, FloatingIp, Port, Router

Wires = Set[tuple[str, str]]  # the type of networks, and the physical network that they are on


def choose(source: Source, wanted: list[str], wires: Wires = frozenset()) -> str:
    """The host for one more router in one of these zones (none: any): "" where there is none that may.

    Hosts that say that routers may live there and that are alive come first, and of these those that have the `wires`
    of the router's networks, then the one with the fewest routers, then the one that joined first.
    """
    load = Counter(lookups.router_hosts(source))

    def rank(agent: Agent) -> tuple[bool, bool, bool, int]:
        return (not agents.is_alive(agent), not is_gateway(agent), not has_wires(agent, wires), load[agent.host])

    candidates = [agent for agent in agent_kinds.routing(source) if zones.fits(agent, wanted)]
    return min(candidates, key=rank).host if candidates else ""


def choose_for(source: Source, router: Router) -> str:
    """The same for a router that there is."""
    return choose(source, router.zones, lookups.wires_of(source, router.id))


def has_wires(agent: Agent, wires: Wires) -> bool:
    """Whether the host has a way to all of these physical networks, with tags where they are asked for."""
    said = agent.configurations
    return all(agents.leads_to(said, name) and (kind == FLAT or agents.carries(said, kind)) for kind, name in wires)


def reconsider(tx: Tx, router: Router) -> None:
    """Move a router that has come to a wire that its host has not to a host that has it, if there is one."""
    wires = lookups.wires_of(tx, router.id) if router.host else frozenset()
    if not wires:
        return
    known = {agent.host: agent for agent in common.find_all(tx, Agent)}
    if router.host in known and not has_wires(known[router.host], wires):
        better = choose(tx, router.zones, wires)
        if better and has_wires(known[better], wires):
            move(tx, router.id, better)


def is_gateway(agent: Agent) -> bool:
    """Whether the host said that routers may live there."""
    return bool(agent.configurations.get("gateway", True))


def sharing(source: Source, wanted: list[str]) -> list[Agent]:
    """The live hosts in one of these zones (none: any) that share routers with others, those with the fewest first."""
    load = Counter(lookups.router_hosts(source))
    able = (agent for agent in agent_kinds.routing(source) if agents.is_alive(agent) and is_gateway(agent))
    return sorted(
        (agent for agent in able if can_share(agent) and zones.fits(agent, wanted)), key=lambda agent: load[agent.host]
    )


def can_share(agent: Agent) -> bool:
    """Whether the host said that it agrees with others on routers, and can be reached by them."""
    said = agent.configurations
    return bool(said.get("capabilities", {}).get("ha") and said.get("tunneling_ip"))


def place(tx: Tx) -> list[str]:
    """Give routers that no host has taken yet to hosts; the ids of those that found one."""
    placed = []
    for router in common.find_all(tx, Router, host=[""]):
        host = choose_for(tx, router)
        if host:
            move(tx, router.id, host)
            placed.append(router.id)
    return placed


def move(tx: Tx, router_id: str, host: str) -> None:
    """Let the router live on `host` ("": nowhere) from now on; its legs and floating IPs are down until it is there."""
    common.set_quietly(tx, Router, [router_id], {"host": host})
    legs = lookups.router_ports(tx, [router_id])
    common.set_quietly(tx, Port, [leg.id for leg in legs], {"host": host, "status": DOWN})
    floating = common.find_all(tx, FloatingIp, router_id=[router_id])
    common.set_quietly(tx, FloatingIp, [each.id for each in floating if each.port_id is not None], {"status": DOWN})


def abandoned(source: Source, patience: float) -> list[Router]:
    """Routers whose only host has been dead for `patience` seconds and more, or is disabled by an administrator."""
    end = clock.utcnow() - agents.ALIVE_FOR - timedelta(seconds=patience)
    known = common.find_all(source, Agent)
    usable = {agent.host for agent in agent_kinds.routing(source) if agent.heartbeat_at >= end}
    left = [agent.host for agent in known if agent.host not in usable]
    return [router for router in common.find_all(source, Router, host=left) if not router.is_shared] if left else []


def refuge(source: Source) -> bool:
    """Whether there is a live host to which routers may move."""
    return any(agents.is_alive(agent) and is_gateway(agent) for agent in agent_kinds.routing(source))
