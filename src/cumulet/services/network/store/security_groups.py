# SPDX-License-Identifier: Apache-2.0
"""Which security groups know no connections."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network import tables

_GROUP = tables.security_group
_STATELESS = select(_GROUP.c.id).where(_GROUP.c.id.in_(bindparam("groups", expanding=True)), ~_GROUP.c.stateful)


def stateless(source: Source, keys: Iterable[str]) -> set[str]:
    """Those of the groups whose rules judge every packet by itself."""
    listed = list(keys)
    return set(sql.column(source, _STATELESS, {"groups": listed})) if listed else set()
