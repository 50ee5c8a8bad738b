# SPDX-License-Identifier: Apache-2.0
"""Application credentials in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import application_credential as table
from cumulet.services.identity.types import ApplicationCredential


def find(source: Source, credential_id: str) -> ApplicationCredential | None:
    return sql.find(source, table, ApplicationCredential, id=credential_id)


def find_by_name(source: Source, user_id: str, name: str) -> ApplicationCredential | None:
    query = select(table).where(table.c.user_id == user_id, table.c.name == name)
    return sql.row(source, query, ApplicationCredential)


def of_user(source: Source, user_id: str, filters: Iterable[Filter] = ()) -> list[ApplicationCredential]:
    query = select(table).where(table.c.user_id == user_id).order_by(table.c.id)
    return sql.rows(source, apply(query, table, filters), ApplicationCredential)


def add(tx: Tx, new: ApplicationCredential) -> None:
    sql.add(tx, table, new)


def remove(tx: Tx, credential_id: str) -> None:
    sql.execute(tx, delete(table).where(table.c.id == credential_id))


def remove_of(tx: Tx, user_id: str, project_id: str) -> None:
    """Remove a user's credentials in one project."""
    sql.execute(tx, delete(table).where(table.c.user_id == user_id, table.c.project_id == project_id))
