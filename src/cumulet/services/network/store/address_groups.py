# SPDX-License-Identifier: Apache-2.0
"""Who uses address groups."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network import tables

_RULE = tables.security_group_rule
_ADMITTING = (
    select(_RULE.c.security_group_id)
    .where(_RULE.c.remote_address_group_id.in_(bindparam("groups", expanding=True)))
    .distinct()
)


def groups_admitting(source: Source, keys: Iterable[str]) -> set[str]:
    """The security groups with rules that name one of these address groups."""
    listed = list(keys)
    return set(sql.column(source, _ADMITTING, {"groups": listed})) if listed else set()
