# SPDX-License-Identifier: Apache-2.0
"""Hosts as the network service knows them, and what they say of ports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import agent_kinds, trunk_places
from cumulet.services.network.store import common, lookups
from cumulet.services.network.types import ACTIVE, DOWN, PHYSICAL, TUNNEL, Agent, HostReport, Port

ALIVE_FOR = timedelta(seconds=75)  # Neutron's agent_down_time


def joined(tx: Tx, host: str, report: HostReport) -> bool:
    """A host has come (again): it says what it can, and its ports are as it says. Whether agents of it are new."""
    now = clock.utcnow()
    known = lookups.agent_of(tx, host)
    configurations = {
        **report.offers,
        "capabilities": report.capabilities,
        "devices": len(report.ports),
        "tunneling_ip": report.endpoint,
        "tunnel_types": [TUNNEL] if report.endpoint else [],
        "gateway": report.gateway,
    }
    if known is None:
        zone = report.availability_zone
        known = Agent(ids.new_uuid(), host, True, None, configurations, now, now, now, availability_zone=zone)
        common.add(tx, known)
    else:
        said = {"configurations": configurations, "availability_zone": report.availability_zone}
        common.set_quietly(tx, Agent, [known.id], {**said, "started_at": now, "heartbeat_at": now})
    ports_stand(tx, host, set(report.ports))
    return agent_kinds.ensure(tx, known)


def seen(tx: Tx, hosts: list[str]) -> list[str]:
    """These hosts are there now; answers with those of them that had counted as dead."""
    known = common.find_all(tx, Agent, host=hosts)
    common.set_quietly(tx, Agent, [agent.id for agent in known], {"heartbeat_at": clock.utcnow()})
    return [agent.host for agent in known if not is_alive(agent)]


def gone(tx: Tx, host: str) -> None:
    """The link to a host has broken: it counts as dead from now on; its ports go on without us."""
    known = [agent.id for agent in common.find_all(tx, Agent, host=[host])]
    common.set_quietly(tx, Agent, known, {"heartbeat_at": clock.utcnow() - ALIVE_FOR})


def is_alive(agent: Agent) -> bool:
    return clock.utcnow() - agent.heartbeat_at < ALIVE_FOR


def ports_stand(tx: Tx, host: str, standing: set[str]) -> None:
    """Of the host's ports those are up that it names, and no other; trunks are as their ports are."""
    found = lookups.bound_statuses(tx, host)
    bound = {key: status for key, (status, _) in found.items()}
    trunked = [key for key, (_, trunk) in found.items() if trunk is not None]
    if trunked:
        trunk_places.told(tx, trunked, standing)
    for status, keys in (
        (ACTIVE, [key for key in bound if key in standing and bound[key] != ACTIVE]),
        (DOWN, [key for key in bound if key not in standing and bound[key] == ACTIVE]),
    ):
        for key in keys:
            _set_status(tx, key, status)


def carries(configurations: Mapping[str, Any], kind: str) -> bool:
    """Whether the host carries networks of a kind that not every host does."""
    said = _capabilities(configurations).get("network_types")
    return isinstance(said, list) and kind in said


def missing(configurations: Mapping[str, Any], feature: str) -> str:
    """What stands in the way of the feature on the host, "" where it has not said."""
    said = _capabilities(configurations).get("missing")
    return str(said.get(feature, "")) if isinstance(said, dict) else ""


def can_tag(configurations: Mapping[str, Any]) -> bool:
    """Whether the host has trunks' subports."""
    return bool(_capabilities(configurations).get("tags"))


def leads_to(configurations: Mapping[str, Any], physical: str) -> bool:
    """Whether the host has a way to the physical network; hosts of the release before say nothing, and have one."""
    said = configurations.get("bridge_mappings", {PHYSICAL: ""})
    return isinstance(said, dict) and physical in said


def _capabilities(configurations: Mapping[str, Any]) -> Mapping[str, Any]:
    said = configurations.get("capabilities")
    return said if isinstance(said, dict) else {}


def epoch(cloud: Cloud) -> str:
    """This database's name to the hosts, given at the first call."""
    found = lookups.epoch(cloud.db)
    if found is not None:
        return found

    def write(tx: Tx) -> str:
        there = lookups.epoch(tx)
        if there is None:
            there = ids.new_uuid()
            lookups.put_epoch(tx, there)
        return there

    return cloud.db.write(write)


def endpoints(source: Source, hosts: set[str]) -> dict[str, str]:
    """Where hosts' tunnels end, as far as it is known, by host."""
    known = common.find_all(source, Agent, host=hosts) if hosts else []
    return {one.host: endpoint_of(one) for one in known}


def endpoint_of(host: Agent | None) -> str:
    """Where the tunnels of a host end that is known already."""
    return str(host.configurations.get("tunneling_ip") or "") if host is not None else ""


def hosts(source: Source) -> list[Agent]:
    """All hosts that ever joined."""
    return common.find_all(source, Agent)


def _set_status(tx: Tx, key: str, status: str) -> None:
    common.set_quietly(tx, Port, [key], {"status": status})
