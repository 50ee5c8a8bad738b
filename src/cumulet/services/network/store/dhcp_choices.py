# SPDX-License-Identifier: Apache-2.0
"""What administrators said of networks and DHCP agents."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.tables import dhcp_choice, subnet
from cumulet.services.network.types.agents import DhcpChoice

_WITH_DHCP = select(subnet.c.network_id).where(subnet.c.enable_dhcp).distinct()


def of_networks(source: Source, network_ids: Iterable[str]) -> list[DhcpChoice]:
    """All that was said of these networks."""
    return sql.find_all(source, dhcp_choice, DhcpChoice, ("agent_id",), network_id=list(network_ids))


def of_agent(source: Source, agent_id: str) -> list[DhcpChoice]:
    """All that was said of the agent."""
    return sql.find_all(source, dhcp_choice, DhcpChoice, ("network_id",), agent_id=[agent_id])


def put(tx: Tx, choice: DhcpChoice) -> None:
    """Say it, whatever was said before."""
    remove(tx, choice.network_id, choice.agent_id)
    sql.add(tx, dhcp_choice, choice)


def remove(tx: Tx, network_id: str, agent_id: str) -> None:
    """Say nothing of the two."""
    sql.remove(tx, dhcp_choice, network_id=network_id, agent_id=agent_id)


def networks_with_dhcp(source: Source) -> set[str]:
    """The networks that have a subnet with DHCP."""
    return set(sql.column(source, _WITH_DHCP))
