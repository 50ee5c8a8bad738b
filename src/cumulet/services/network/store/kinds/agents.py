# SPDX-License-Identifier: Apache-2.0
"""The further agents of hosts."""

from __future__ import annotations

from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind, nobody
from cumulet.services.network.types.agents import HostAgent

KINDS = (Kind(HostAgent, tables.host_agent, "AgentNotFound", seen=nobody),)
