# SPDX-License-Identifier: Apache-2.0
"""The agents of each host, one for each thing that it does: they are found, disabled and forgotten one by one."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.types import Agent
from cumulet.services.network.types.agents import FURTHER, L3, LINK, AgentView, HostAgent


def views(source: Source) -> list[AgentView]:
    """All agents, host by host; what plugs ports in is each host's last."""
    further: dict[str, list[HostAgent]] = {}
    for one in common.find_all(source, HostAgent):
        further.setdefault(one.agent_id, []).append(one)
    found = []
    for host in common.find_all(source, Agent):
        here = sorted(further.get(host.id, []), key=lambda one: FURTHER.index(one.agent_type))
        found += [*(_view(host, one) for one in here), _link(host)]
    return found


def of_kind(source: Source, kind: str) -> list[AgentView]:
    """All hosts' agents of one of the further kinds."""
    hosts = {host.id: host for host in common.find_all(source, Agent)}
    return [_view(hosts[one.agent_id], one) for one in common.find_all(source, HostAgent, agent_type=[kind])]


def view(source: Source, key: str) -> AgentView:
    """The agent of the id; AgentNotFound."""
    host = common.find(source, Agent, key)
    if host is not None:
        return _link(host)
    one = common.find(source, HostAgent, key)
    above = common.find(source, Agent, one.agent_id) if one is not None else None
    if one is None or above is None:
        raise fault("AgentNotFound", id=key)
    return _view(above, one)


def ensure(tx: Tx, host: Agent) -> bool:
    """Give the host the further agents that it has not; whether there were any to give."""
    known = {one.agent_type for one in common.find_all(tx, HostAgent, agent_id=[host.id])}
    new = [
        HostAgent(ids.new_uuid(), host.id, kind, True, None, clock.utcnow()) for kind in FURTHER if kind not in known
    ]
    common.add(tx, *new)
    return bool(new)


def change(tx: Tx, key: str, values: dict[str, Any]) -> AgentView:
    """Set attributes of the agent of the id."""
    kind = Agent if view(tx, key).kind == LINK else HostAgent
    common.set_quietly(tx, kind, [key], values)
    return view(tx, key)


def forget(tx: Tx, key: str) -> None:
    """Forget the agent; with what plugs ports in, the host goes and all its agents. They come back with the host."""
    kind = Agent if view(tx, key).kind == LINK else HostAgent
    common.remove(tx, kind, [key])


def routing(source: Source) -> list[Agent]:
    """The hosts whose L3 agent is enabled, and they themselves."""
    enabled = {one.agent_id for one in common.find_all(source, HostAgent, agent_type=[L3]) if one.admin_state_up}
    return [host for host in common.find_all(source, Agent) if host.admin_state_up and host.id in enabled]


def _link(host: Agent) -> AgentView:
    return AgentView(
        id=host.id,
        kind=LINK,
        admin_state_up=host.admin_state_up,
        description=host.description,
        created_at=host.created_at,
        host=host,
    )


def _view(host: Agent, one: HostAgent) -> AgentView:
    return AgentView(
        id=one.id,
        kind=one.agent_type,
        admin_state_up=one.admin_state_up,
        description=one.description,
        created_at=one.created_at,
        host=host,
    )
