# SPDX-License-Identifier: Apache-2.0
"""Which packet logs are kept of which ports."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import and_, or_, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network import tables
from cumulet.services.network.types.packet_logs import PacketLog

_LOG, _PORT = tables.packet_log, tables.port
_WHOLE_PROJECT = and_(_LOG.c.resource_id.is_(None), _LOG.c.target_id.is_(None))


def kept_of(source: Source, port_ids: Iterable[str], group_ids: Iterable[str]) -> list[PacketLog]:
    """The logs, switched on, that name one of the ports or of the groups, or a project's ports without exception."""
    named = or_(sql.any_of(_LOG.c.target_id, set(port_ids)), sql.any_of(_LOG.c.resource_id, set(group_ids)))
    query = select(_LOG).where(_LOG.c.enabled, or_(named, _WHOLE_PROJECT)).order_by(_LOG.c.id)
    return sql.rows(source, query, PacketLog)


def projects_of(source: Source, port_ids: Iterable[str]) -> dict[str, str]:
    """Whose the ports are."""
    query = select(_PORT.c.id, _PORT.c.project_id).where(sql.any_of(_PORT.c.id, set(port_ids)))
    return dict(sql.tuples(source, query))


def hosts_of_projects(source: Source, project_ids: Iterable[str]) -> set[str]:
    """The hosts that have ports of the projects."""
    query = select(_PORT.c.host).where(sql.any_of(_PORT.c.project_id, set(project_ids)), _PORT.c.host != "")
    return set(sql.column(source, query.distinct()))
