# SPDX-License-Identifier: Apache-2.0
"""Migrations of servers in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import and_, func, or_, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import migration
from cumulet.services.compute.types import Migration


class Criteria(msgspec.Struct, kw_only=True):
    """Which migrations are wanted; None and empty stand for no limit. `equal` is by column, `host` either end."""

    equal: dict[str, str] = {}
    host: str | None = None
    changed_since: datetime | None = None
    changed_before: datetime | None = None
    newest_first: bool = False
    limit: int | None = None


def find(source: Source, uuid: str) -> Migration | None:
    return sql.row(source, select(migration).where(migration.c.uuid == uuid), Migration)


def find_numbered(source: Source, server_id: str, number: int) -> Migration | None:
    query = select(migration).where(migration.c.server_id == server_id, migration.c.id == number)
    return sql.row(source, query, Migration)


def of_server(source: Source, server_id: str, statuses: Iterable[str]) -> list[Migration]:
    """The server's migrations in one of the statuses, the oldest first."""
    query = select(migration).where(migration.c.server_id == server_id, sql.any_of(migration.c.status, statuses))
    return sql.rows(source, query.order_by(migration.c.id), Migration)


def of_project(source: Source, project_id: str, statuses: Iterable[str]) -> list[Migration]:
    query = select(migration).where(migration.c.project_id == project_id, sql.any_of(migration.c.status, statuses))
    return sql.rows(source, query, Migration)


def in_status(source: Source, statuses: Iterable[str]) -> list[Migration]:
    return sql.rows(source, select(migration).where(sql.any_of(migration.c.status, statuses)), Migration)


def find_all(source: Source, criteria: Criteria, marker: Migration | None = None) -> list[Migration]:
    """Those that fit, after `marker`."""
    query = select(migration).where(*(migration.c[name] == value for name, value in criteria.equal.items()))
    if criteria.host is not None:
        query = query.where(or_(migration.c.source == criteria.host, migration.c.destination == criteria.host))
    changed = func.coalesce(migration.c.updated_at, migration.c.created_at)
    if criteria.changed_since is not None:
        query = query.where(changed >= criteria.changed_since)
    if criteria.changed_before is not None:
        query = query.where(changed <= criteria.changed_before)
    if marker is not None:
        same = and_(migration.c.created_at == marker.created_at, migration.c.id < marker.id)
        query = query.where(or_(migration.c.created_at < marker.created_at, same))
    if criteria.newest_first:
        query = query.order_by(migration.c.created_at.desc(), migration.c.id.desc())
    else:
        query = query.order_by(migration.c.id)
    return sql.rows(source, query if criteria.limit is None else query.limit(criteria.limit), Migration)


def next_id(tx: Tx) -> int:
    """The number of the next migration; nobody else gets it before this transaction ends."""
    tx.lock("compute:migrations")
    return int(sql.scalar(tx, select(func.coalesce(func.max(migration.c.id), 0)))) + 1


def add(tx: Tx, new: Migration) -> None:
    sql.add(tx, migration, new)


def change(tx: Tx, uuid: str, changes: Mapping[str, Any]) -> None:
    sql.execute(tx, update(migration).where(migration.c.uuid == uuid).values(dict(changes)))
