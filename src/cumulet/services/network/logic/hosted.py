# SPDX-License-Identifier: Apache-2.0
"""What agents host: networks on DHCP agents, routers on L3 agents.

Every host answers DHCP for the networks on it, so each DHCP agent hosts every network that has DHCP, unless an
administrator took it off; a network that no agent hosts is answered nowhere (`dhcp_served`). A router is where it is.
"""

from __future__ import annotations

from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, agent_kinds, ha, scheduling, zones
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.store import dhcp_choices as store
from cumulet.services.network.store import ha as places
from cumulet.services.network.types import Network, Router, Subnet
from cumulet.services.network.types.agents import DHCP, L3, AgentView, DhcpChoice


def agents_of_network(source: Source, network_id: str) -> list[AgentView]:
    """The DHCP agents that host the network."""
    said = {choice.agent_id: choice.hosted for choice in store.of_networks(source, [network_id])}
    network = common.find(source, Network, network_id)
    usual = _has_dhcp(source, network_id)
    wanted = network.zones if network is not None else []
    found = agent_kinds.of_kind(source, DHCP)
    return [agent for agent in found if said.get(agent.id, usual and zones.fits(agent.host, wanted))]


def networks_of(source: Source, agent: AgentView) -> list[Network]:
    """The networks that the agent hosts."""
    if agent.kind != DHCP:
        return []
    said = {choice.network_id: choice.hosted for choice in store.of_agent(source, agent.id)}
    there = {key for key in store.networks_with_dhcp(source) if said.get(key, True)}
    found = common.find_all(source, Network, id=there | {key for key in said if said[key]})
    return [network for network in found if network.id in said or zones.fits(agent.host, network.zones)]


def add_network(tx: Tx, agent_id: str, network_id: str) -> None:
    """Let the agent host the network."""
    network = access.must(tx, Network, network_id)
    _lock(tx)
    agent = agent_kinds.view(tx, agent_id)
    if agent.kind != DHCP or not agent.admin_state_up:
        raise fault("InvalidDHCPAgent", id=agent_id)
    if agent_id in {one.id for one in agents_of_network(tx, network_id)}:
        raise fault("NetworkHostedByDHCPAgent", network_id=network_id, agent_id=agent_id)
    if _has_dhcp(tx, network_id) and zones.fits(agent.host, network.zones):
        store.remove(tx, network_id, agent_id)
    else:
        store.put(tx, DhcpChoice(network_id, agent_id, True))
    settle(tx, {network_id})


def remove_network(tx: Tx, agent_id: str, network_id: str) -> None:
    """Let the agent host the network no longer."""
    _lock(tx)
    agent = agent_kinds.view(tx, agent_id)
    if agent.id not in {one.id for one in agents_of_network(tx, network_id)}:
        raise fault("NetworkNotHostedByDhcpAgent", network_id=network_id, agent_id=agent_id)
    if _has_dhcp(tx, network_id):
        store.put(tx, DhcpChoice(network_id, agent_id, False))
    else:
        store.remove(tx, network_id, agent_id)
    settle(tx, {network_id})


def served(source: Source, network_ids: set[str]) -> set[str]:
    """Those of the networks that no DHCP agent was taken off, or not all."""
    agents = {agent.id for agent in agent_kinds.of_kind(source, DHCP)}
    off: dict[str, set[str]] = {}
    for choice in store.of_networks(source, network_ids):
        if not choice.hosted:
            off.setdefault(choice.network_id, set()).add(choice.agent_id)
    return {key for key in network_ids if key not in off or agents - off[key]}


def settle(tx: Tx, network_ids: set[str]) -> set[str]:
    """Say of the networks whether any agent hosts them; those of which that is something new."""
    found, changed = served(tx, network_ids), set()
    for network in common.by_id(tx, Network, network_ids).values():
        if (network.id in found) != network.dhcp_served:
            common.set_quietly(tx, Network, [network.id], {"dhcp_served": network.id in found})
            changed.add(network.id)
    return changed


def came(tx: Tx) -> set[str]:
    """There is a new DHCP agent: the networks that it alone hosts, which are answered from now on."""
    unserved = {network.id for network in common.find_all(tx, Network, dhcp_served=[False])}
    return settle(tx, unserved) if unserved else set()


def forget(tx: Tx, key: str) -> set[str]:
    """Forget the agent (see `agent_kinds.forget`); the networks that are answered nowhere from now on."""
    agent = agent_kinds.view(tx, key)
    others = [one for one in agent_kinds.of_kind(tx, DHCP) if one.host.id != agent.host.id]
    concerned = {choice.network_id for one in others for choice in store.of_agent(tx, one.id) if not choice.hosted}
    agent_kinds.forget(tx, key)
    return settle(tx, concerned) if concerned else set()


def agents_of_router(source: Source, router: Router) -> list[tuple[AgentView, str | None]]:
    """The L3 agents that host the router; of an HA router each with what it does for it, else with None."""
    said: dict[str, str | None] = dict(ha.states(source, router)) if router.is_shared else {}
    known = {one.host.host: one for one in agent_kinds.of_kind(source, L3)}
    return [(known[host], state) for host, state in (said or {router.host: None}).items() if host in known]


def routers_of(source: Source, agent: AgentView) -> list[Router]:
    """The routers that the agent hosts."""
    return places.routers_on(source, agent.host.host) if agent.kind == L3 else []


def add_router(tx: Tx, agent_id: str, router_id: str) -> None:
    """Let a router that is nowhere live on the agent's host; nothing happens where it is there already.

    An HA router is on that host too from now on.
    """
    router = access.must(tx, Router, router_id)
    agent = agent_kinds.view(tx, agent_id)
    if agent.kind != L3 or not agent.admin_state_up:
        raise fault("InvalidL3Agent", id=agent_id)
    now = [one for one, _ in agents_of_router(tx, router)]
    if router.is_shared and scheduling.can_share(agent.host):
        ha.add_place(tx, router, agent.host.host)
        return
    if now and agent_id not in {one.id for one in now}:
        raise fault("RouterHostedByL3Agent", router_id=router_id, agent_id=now[0].id)
    if router.host != agent.host.host:
        scheduling.move(tx, router_id, agent.host.host)


def remove_router(tx: Tx, agent_id: str, router_id: str) -> None:
    """Take the router off the agent's host; it is nowhere until it is added to another, or a host comes."""
    agent = agent_kinds.view(tx, agent_id)
    router = access.must(tx, Router, router_id)
    if agent.kind == L3 and router.is_shared:
        ha.remove_place(tx, router, agent.host.host)
    elif agent.kind == L3 and router.host == agent.host.host:
        scheduling.move(tx, router_id, "")


def _has_dhcp(source: Source, network_id: str) -> bool:
    return any(subnet.enable_dhcp for subnet in common.find_all(source, Subnet, network_id=[network_id]))


def _lock(tx: Tx) -> None:
    tx.lock("network:dhcp-choices")
