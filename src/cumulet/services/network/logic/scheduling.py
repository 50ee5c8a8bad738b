# SPDX-License-Identifier: Apache-2.0
"""On which host a router lives: the live one with the fewest, chosen again when that one is dead or disabled."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from cumulet.kernel import clock
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import agent_kinds, agents
from cumulet.services.network.store import common, lookups
from cumulet.services.network.types import Agent, Port, Router


def choose(source: Source) -> str:
    """The host for one more router: "" where there is none that may.

    Hosts that say that routers may live there and that are alive come first, and of these the one with the fewest
    routers, then the one that joined first.
    """
    load = Counter(lookups.router_hosts(source))

    def rank(agent: Agent) -> tuple[bool, bool, int]:
        return (not agents.is_alive(agent), not is_gateway(agent), load[agent.host])

    candidates = agent_kinds.routing(source)
    return min(candidates, key=rank).host if candidates else ""


def is_gateway(agent: Agent) -> bool:
    """Whether the host said that routers may live there."""
    return bool(agent.configurations.get("gateway", True))


def place(tx: Tx) -> list[str]:
    """Give routers that no host has taken yet to hosts; the ids of those that found one."""
    placed = []
    for router in common.find_all(tx, Router, host=[""]):
        host = choose(tx)
        if host:
            move(tx, router.id, host)
            placed.append(router.id)
    return placed


def move(tx: Tx, router_id: str, host: str) -> None:
    """Let the router live on `host` from now on, with its legs."""
    common.set_quietly(tx, Router, [router_id], {"host": host})
    legs = lookups.router_ports(tx, [router_id])
    common.set_quietly(tx, Port, [leg.id for leg in legs], {"host": host})


def abandoned(source: Source, patience: float) -> list[Router]:
    """Routers whose host has been dead for `patience` seconds and more, or is disabled by an administrator."""
    end = clock.utcnow() - agents.ALIVE_FOR - timedelta(seconds=patience)
    known = common.find_all(source, Agent)
    usable = {agent.host for agent in agent_kinds.routing(source) if agent.heartbeat_at >= end}
    left = [agent.host for agent in known if agent.host not in usable]
    return common.find_all(source, Router, host=left) if left else []


def refuge(source: Source) -> bool:
    """Whether there is a live host to which routers may move."""
    return any(agents.is_alive(agent) and is_gateway(agent) for agent in agent_kinds.routing(source))
