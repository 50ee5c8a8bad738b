# SPDX-License-Identifier: Apache-2.0
"""Settings of what new security groups are."""

from __future__ import annotations

from sqlalchemy import bindparam, or_, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network import tables

_SET = tables.default_statefulness
_STATEFUL = select(_SET.c.project_id, _SET.c.stateful).where(
    or_(_SET.c.project_id == bindparam("project"), _SET.c.project_id.is_(None))
)


def stateful(source: Source, project_id: str) -> bool | None:
    """What the project's setting says, else everybody's; None where there is neither."""
    found = dict(sql.tuples(source, _STATEFUL, {"project": project_id}))
    return found.get(project_id, found.get(None))


def has_setting(source: Source, project_id: str | None) -> bool:
    """Whether the project has a setting; None: everybody."""
    wanted = _SET.c.project_id.is_(None) if project_id is None else _SET.c.project_id == project_id
    return sql.scalar(source, select(_SET.c.id).where(wanted)) is not None
