# SPDX-License-Identifier: Apache-2.0
"""What hosts' agents are by kind, and which of them answers DHCP for a network."""

from __future__ import annotations

from datetime import datetime

import msgspec

from cumulet.services.network.types.rows import Agent

LINK = "Cumulet network agent"  # what plugs ports in: the host itself, as an Agent row
DHCP = "DHCP agent"
L3 = "L3 agent"
METADATA = "Metadata agent"
FURTHER = (DHCP, L3, METADATA)


class HostAgent(msgspec.Struct, frozen=True):
    """One of the further agents of a host, by kind. `agent_id` is the host's Agent row."""

    id: str
    agent_id: str
    agent_type: str
    admin_state_up: bool
    description: str | None
    created_at: datetime


class DhcpChoice(msgspec.Struct, frozen=True):
    """What an administrator said of a network and a DHCP agent; without a word, it hosts every network with DHCP."""

    network_id: str
    agent_id: str
    hosted: bool


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent of any kind as the API knows it; no row of its own. `host` is where it is."""

    id: str
    kind: str
    admin_state_up: bool
    description: str | None
    created_at: datetime
    host: Agent
