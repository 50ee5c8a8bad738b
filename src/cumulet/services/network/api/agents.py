# SPDX-License-Identifier: Apache-2.0
"""Agents over HTTP: the network's part on each host."""

from __future__ import annotations

from datetime import datetime

from cumulet.kernel.db import Source
from cumulet.services.network.api import common
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import agents as logic
from cumulet.services.network.logic import zones
from cumulet.services.network.types import Agent

ATTRIBUTES = {
    "id": common.ID,
    "agent_type": Attribute(),
    "binary": Attribute(),
    "topic": Attribute(),
    "host": Attribute(),
    "admin_state_up": Attribute(put=True, convert=check.boolean),
    "alive": Attribute(convert=check.boolean),
    "availability_zone": Attribute(),
    "created_at": Attribute(filters=False),
    "started_at": Attribute(filters=False),
    "heartbeat_timestamp": Attribute(filters=False),
    "configurations": Attribute(filters=False),
    "description": Attribute(put=True, default=ABSENT, check=check.or_none(check.text(255))),
    "resources_synced": Attribute(filters=False),
}


def render(source: Source, rows: list[Agent]) -> list[Item]:
    return [
        {
            "id": row.id,
            "agent_type": "Cumulet network agent",
            "binary": "cumulet-agent",
            "topic": "N/A",
            "host": row.host,
            "admin_state_up": row.admin_state_up,
            "alive": logic.is_alive(row),
            "availability_zone": zones.DEFAULT,
            "created_at": _spaced(row.created_at),
            "started_at": _spaced(row.started_at),
            "heartbeat_timestamp": _spaced(row.heartbeat_at),
            "configurations": row.configurations,
            "description": row.description,
            "resources_synced": None,
        }
        for row in rows
    ]


def _spaced(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


AGENTS = Resource(
    name="agent",
    collection="agents",
    kind=Agent,
    attributes=ATTRIBUTES,
    render=render,
    update=logic.update,
    delete=logic.delete,
)
