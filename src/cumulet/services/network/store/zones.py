# SPDX-License-Identifier: Apache-2.0
"""In which availability zones hosts are."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import and_, case, exists, func, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network.store import dhcp_choices
from cumulet.services.network.tables import agent, dhcp_choice

_ZONE = agent.c.availability_zone
_SAME = func.min(_ZONE) == func.max(_ZONE)
_ONLY = select(case((_SAME, func.min(_ZONE))))
_UNDISTURBED = select(case((and_(_SAME, ~exists(select(dhcp_choice.c.network_id))), func.min(_ZONE))))
_OF_HOSTS = select(agent.c.host, _ZONE)


def only(source: Source) -> str | None:
    """The zone that all hosts are in, if it is one."""
    found: str | None = sql.quick(source, _ONLY)
    return found


def only_undisturbed(source: Source) -> str | None:
    """The same, where no administrator has said which agents answer for networks."""
    found: str | None = sql.quick(source, _UNDISTURBED)
    return found


def of_hosts(source: Source) -> dict[str, str]:
    """The zone of each host."""
    return dict(sql.tuples(source, _OF_HOSTS))


def said(source: Source, network_ids: Iterable[str]) -> dict[tuple[str, str], bool]:
    """What administrators said: by network and agent, whether it answers."""
    return {(each.network_id, each.agent_id): each.hosted for each in dhcp_choices.of_networks(source, network_ids)}
