# SPDX-License-Identifier: Apache-2.0
"""Groups of endpoints in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import endpoint_group as table
from cumulet.services.identity.tables import project_endpoint_group
from cumulet.services.identity.types import EndpointGroup


def find(source: Source, group_id: str) -> EndpointGroup | None:
    return sql.find(source, table, EndpointGroup, id=group_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[EndpointGroup]:
    return sql.rows(source, apply(select(table).order_by(table.c.id), table, filters), EndpointGroup)


def of_project(source: Source, project_id: str) -> list[EndpointGroup]:
    """The groups that a project is associated with."""
    query = select(table).join(project_endpoint_group, project_endpoint_group.c.endpoint_group_id == table.c.id)
    query = query.where(project_endpoint_group.c.project_id == project_id).order_by(table.c.id)
    return sql.rows(source, query, EndpointGroup)


def add(tx: Tx, new: EndpointGroup) -> None:
    sql.add(tx, table, new)


def change(tx: Tx, group_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(table).where(table.c.id == group_id).values(changes))


def remove(tx: Tx, group_id: str) -> None:
    sql.execute(tx, delete(table).where(table.c.id == group_id))
