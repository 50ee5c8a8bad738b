# SPDX-License-Identifier: Apache-2.0
"""What stored policies are for, in the database: endpoints, services, services in regions."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import policy_association as table
from cumulet.services.identity.types import PolicyAssociation

PLACE = ("endpoint_id", "service_id", "region_id")


def find(source: Source, place: PolicyAssociation) -> PolicyAssociation | None:
    """The association of exactly this place, with whatever policy."""
    return sql.row(source, select(table).where(_at(place)), PolicyAssociation)


def of_policy(source: Source, policy_id: str) -> list[PolicyAssociation]:
    return sql.rows(source, select(table).where(table.c.policy_id == policy_id).order_by(table.c.id), PolicyAssociation)


def put(tx: Tx, new: PolicyAssociation) -> None:
    """Store an association in the place of the one that is there."""
    if not sql.execute(tx, update(table).where(_at(new)).values(policy_id=new.policy_id)):
        sql.add(tx, table, new)


def remove(tx: Tx, gone: PolicyAssociation) -> None:
    sql.execute(tx, delete(table).where(_at(gone), table.c.policy_id == gone.policy_id))


def _at(place: PolicyAssociation) -> ColumnElement[bool]:
    return and_(*(table.c[name].is_not_distinct_from(getattr(place, name)) for name in PLACE))
