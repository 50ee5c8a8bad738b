# SPDX-License-Identifier: Apache-2.0
"""Hosts as the network service knows them, and what they say of ports."""

from __future__ import annotations

from datetime import timedelta

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import agent_kinds
from cumulet.services.network.store import common, lookups
from cumulet.services.network.types import ACTIVE, DOWN, TUNNEL, Agent, HostReport, Port

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
        known = Agent(ids.new_uuid(), host, True, None, configurations, now, now, now)
        common.add(tx, known)
    else:
        values = {"configurations": configurations, "started_at": now, "heartbeat_at": now}
        common.set_quietly(tx, Agent, [known.id], values)
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
    """Of the host's ports those are up that it names, and no other."""
    bound = lookups.bound_statuses(tx, host)
    for status, keys in (
        (ACTIVE, [key for key in bound if key in standing and bound[key] != ACTIVE]),
        (DOWN, [key for key in bound if key not in standing and bound[key] == ACTIVE]),
    ):
        for key in keys:
            _set_status(tx, key, status)


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


def endpoint(source: Source, host: str) -> str:
    """Where the host's tunnels end, as far as it is known."""
    return endpoints(source, {host}).get(host, "")


def endpoints(source: Source, hosts: set[str]) -> dict[str, str]:
    """The same of several hosts, by host."""
    known = common.find_all(source, Agent, host=hosts) if hosts else []
    return {one.host: str(one.configurations.get("tunneling_ip") or "") for one in known}


def hosts(source: Source) -> list[Agent]:
    """All hosts that ever joined."""
    return common.find_all(source, Agent)


def _set_status(tx: Tx, key: str, status: str) -> None:
    common.set_quietly(tx, Port, [key], {"status": status})
