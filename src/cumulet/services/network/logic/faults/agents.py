# SPDX-License-Identifier: Apache-2.0
"""Refusals of what agents host."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "InvalidDHCPAgent": (NotFound, "Agent {id} is not a valid DHCP Agent or has been disabled."),
    "NetworkHostedByDHCPAgent": (
        Conflict,
        "The network {network_id} has been already hosted by the DHCP Agent {agent_id}.",
    ),
    "NetworkNotHostedByDhcpAgent": (Conflict, "The network {network_id} is not hosted by the DHCP Agent {agent_id}."),
    "InvalidL3Agent": (NotFound, "Agent {id} is not a L3 Agent or has been disabled"),
    "RouterHostedByL3Agent": (
        Conflict,
        "The router {router_id} has been already hosted by the L3 Agent {agent_id}.",
    ),
}
