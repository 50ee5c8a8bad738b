# SPDX-License-Identifier: Apache-2.0
"""Which security groups know no connections, and who is in them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, func, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network import tables

_GROUP = tables.security_group
_STATELESS = select(_GROUP.c.id).where(_GROUP.c.id.in_(bindparam("groups", expanding=True)), ~_GROUP.c.stateful)

_MEMBER = tables.membership
_MIXED = (
    select(_MEMBER.c.port_id)
    .join(_GROUP, _GROUP.c.id == _MEMBER.c.security_group_id)
    .group_by(_MEMBER.c.port_id)
    .having(func.count(_GROUP.c.stateful.distinct()) > 1)
)


def stateless(source: Source, keys: Iterable[str]) -> set[str]:
    """Those of the groups whose rules judge every packet by itself."""
    listed = list(keys)
    return set(sql.column(source, _STATELESS, {"groups": listed})) if listed else set()


def ports_in_both(source: Source) -> list[str]:
    """The ports that are in groups of either kind, which none should be."""
    return list(sql.column(source, _MIXED))
