# SPDX-License-Identifier: Apache-2.0
"""Availability zones of the network service: each host says in which its agents are, hints in which they have to be."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import NotFound
from cumulet.services.network.logic import agent_kinds, agents
from cumulet.services.network.store import ha as places
from cumulet.services.network.store import zones as store
from cumulet.services.network.types import Agent, Network, Router
from cumulet.services.network.types.agents import DHCP, L3

KINDS = {"network": DHCP, "router": L3}  # what hosts each resource


def known(source: Source, resource: str) -> dict[str, bool]:
    """The zones of the agents for that resource, and whether one of each is enabled and alive."""
    found: dict[str, bool] = {}
    for agent in agent_kinds.of_kind(source, KINDS[resource]):
        zone = agent.host.availability_zone
        found[zone] = found.get(zone, False) or (agent.admin_state_up and agents.is_alive(agent.host))
    return found


def settled(cloud: Cloud, source: Source, resource: str, hints: list[str]) -> list[str]:
    """The zones that something new has to be in (none: in any): those of its hints, else the usual ones.

    Raises AvailabilityZoneNotFound for a hint at a zone that no agent is in.
    """
    if not hints:
        return list(cloud.settings.network.default_availability_zones)
    there = known(source, resource)
    unknown = next((hint for hint in hints if hint not in there), None)
    if unknown is not None:
        raise NotFound(f"AvailabilityZone {unknown} could not be found.", code="AvailabilityZoneNotFound")
    return hints


def fits(host: Agent, zones: list[str]) -> bool:
    """Whether what has to be in these zones may be on the host."""
    return not zones or host.availability_zone in zones


def of_routers(source: Source, routers: list[Router]) -> dict[str, list[str]]:
    """The zones of the hosts that have each router."""
    placed = [router for router in routers if router.host]
    only = store.only(source) if placed else None
    if only is not None:
        return {router.id: [only] for router in placed}
    zones = store.of_hosts(source) if placed else {}
    shared = places.places(source, [router.id for router in placed if router.ha])
    found = {}
    for router in placed:
        hosts = {router.host, *(place.host for place in shared[router.id])} if router.ha else {router.host}
        found[router.id] = sorted({zones[host] for host in hosts if host in zones})
    return found


def of_networks(source: Source, networks: list[Network], with_dhcp: set[str]) -> dict[str, list[str]]:
    """The zones of the agents that answer DHCP for each network: for those `with_dhcp` and what else was said."""
    asked = [network for network in networks if network.id in with_dhcp]
    only = store.only_undisturbed(source) if asked else None
    if only is not None:
        return {network.id: [only] for network in asked if not network.zones or only in network.zones}
    return _looked_up(source, networks, with_dhcp) if asked else {}


def _looked_up(source: Source, networks: list[Network], with_dhcp: set[str]) -> dict[str, list[str]]:
    said = store.said(source, [network.id for network in networks])
    hosts = [(agent.id, agent.host) for agent in agent_kinds.of_kind(source, DHCP)]
    found = {}
    for network in networks:
        usual = network.id in with_dhcp
        there = {
            host.availability_zone
            for key, host in hosts
            if said.get((network.id, key), usual and fits(host, network.zones))
        }
        found[network.id] = sorted(there)
    return found
