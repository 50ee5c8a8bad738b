# SPDX-License-Identifier: Apache-2.0
"""Agents over HTTP: what each host does for the network, one agent for each kind of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.http import Request
from cumulet.services.network.api import common
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource, tell
from cumulet.services.network.logic import access, agent_kinds, agents, concern, hosted
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.types import Agent, Network
from cumulet.services.network.types.agents import DHCP, L3, LINK, METADATA, AgentView

_sorted = partial(Attribute, sorts=True)

ATTRIBUTES = {
    "id": common.ID,
    "agent_type": _sorted(),
    "binary": _sorted(),
    "topic": _sorted(),
    "host": _sorted(),
    "admin_state_up": _sorted(put=True, convert=check.boolean),
    "alive": _sorted(convert=check.boolean),
    "availability_zone": Attribute(),
    "created_at": _sorted(filters=False),
    "started_at": _sorted(filters=False),
    "heartbeat_timestamp": _sorted(filters=False),
    "configurations": Attribute(filters=False),
    "description": _sorted(put=True, default=ABSENT, check=check.or_none(check.text(255))),
    "resources_synced": Attribute(filters=False),
}
_TOPICS = {LINK: "N/A", DHCP: "dhcp_agent", L3: "l3_agent", METADATA: "N/A"}


def render(source: Source, rows: list[AgentView]) -> list[Item]:
    return [
        {
            "id": row.id,
            "agent_type": row.kind,
            "binary": "cumulet-agent",
            "topic": _TOPICS[row.kind],
            "host": row.host.host,
            "admin_state_up": row.admin_state_up,
            "alive": agents.is_alive(row.host),
            "availability_zone": row.host.availability_zone if row.kind in (DHCP, L3) else None,
            "created_at": _spaced(row.created_at),
            "started_at": _spaced(row.host.started_at),
            "heartbeat_timestamp": _spaced(row.host.heartbeat_at),
            "configurations": _configurations(row),
            "description": row.description,
            "resources_synced": row.host.resources_synced if row.kind == LINK else None,
        }
        for row in rows
    ]


def _configurations(row: AgentView) -> Item:
    """What the host said of itself, as far as it concerns the kind."""
    said = row.host.configurations
    router = {"agent_mode": "legacy", "extensions": _OF_ROUTERS, "gateway": said.get("gateway", True)}
    return {LINK: said, L3: router}.get(row.kind, {})


# What agents for routers can do beside their trade, as clients look for it.
_OF_ROUTERS = ["conntrack_helper", "fip_qos", "gateway_ip_qos", "ndp_proxy", "port_forwarding"]


def _spaced(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class Agents(Resource[Any]):
    """Agents of all kinds, which stand in several tables; only administrators see them."""

    def rows(self, request: Request, columns: Mapping[str, Iterable[Any]]) -> list[AgentView]:
        return agent_kinds.views(request.cloud.db) if access.sees_all(request.ctx) else []

    def row(self, request: Request, key: str) -> AgentView:
        if not access.sees_all(request.ctx):
            raise fault("AgentNotFound", id=key)
        return agent_kinds.view(request.cloud.db, key)


def _update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> AgentView:
    return agent_kinds.change(tx, key, values)


def _delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Forget an agent; one whose host is still there comes back with its next report."""
    tell(cloud, tx, concern.of(tx, Network, hosted.forget(tx, key)))


def _is_kind(item: Item, kinds: list[str]) -> bool:
    """Upper and lower case are the same here: clients write them either way, and OpenStack's usual database agrees."""
    return item["agent_type"].lower() in {kind.lower() for kind in kinds}


AGENTS = Agents(
    name="agent",
    collection="agents",
    kind=Agent,
    attributes=ATTRIBUTES,
    render=render,
    update=_update,
    delete=_delete,
    filters={"agent_type": _is_kind},
)
