# SPDX-License-Identifier: Apache-2.0
"""Snapshots in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, delete, func, select, update

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.store.words import holds
from cumulet.services.block_storage.tables import snapshot
from cumulet.services.block_storage.types import Page, Snapshot

Words = Mapping[str, str]


def find(source: Source, snapshot_id: str) -> Snapshot | None:
    return sql.find(source, snapshot, Snapshot, id=snapshot_id)


def find_visible(source: Source, ctx: Context, snapshot_id: str) -> Snapshot | None:
    query = select(snapshot).where(snapshot.c.id == snapshot_id)
    return sql.row(source, sql.visible(query, ctx, snapshot.c.project_id, everywhere=ctx.is_admin), Snapshot)


def find_page(
    source: Source, ctx: Context, page: Page, exact: Mapping[str, Any], metadata: Words, *, everywhere: bool
) -> list[Snapshot]:
    return pages.page(source, _query(ctx, exact, metadata, everywhere), snapshot, page, Snapshot)


def count(source: Source, ctx: Context, exact: Mapping[str, Any], metadata: Words, *, everywhere: bool) -> int:
    return pages.count(source, _query(ctx, exact, metadata, everywhere))


def of_volume(source: Source, volume_id: str) -> list[Snapshot]:
    """Oldest first."""
    query = select(snapshot).where(snapshot.c.volume_id == volume_id)
    return sql.rows(source, query.order_by(snapshot.c.created_at, snapshot.c.id), Snapshot)


def every(source: Source) -> list[Snapshot]:
    return sql.rows(source, select(snapshot), Snapshot)


def add(tx: Tx, new: Snapshot) -> None:
    sql.add(tx, snapshot, new)


def change(tx: Tx, snapshot_id: str, **values: Any) -> None:
    sql.execute(tx, update(snapshot).where(snapshot.c.id == snapshot_id).values(updated_at=clock.utcnow(), **values))


def remove(tx: Tx, snapshot_id: str) -> None:
    sql.execute(tx, delete(snapshot).where(snapshot.c.id == snapshot_id))


def usage(source: Source, project_id: str) -> dict[str, tuple[int, int]]:
    """Number and GiB of the project's snapshots by volume type."""
    query = (
        select(snapshot.c.volume_type_id, func.count(), func.sum(snapshot.c.size))
        .where(snapshot.c.project_id == project_id)
        .group_by(snapshot.c.volume_type_id)
    )
    return {row[0]: (int(row[1]), int(row[2] or 0)) for row in sql.tuples(source, query)}


def _query(ctx: Context, exact: Mapping[str, Any], metadata: Words, everywhere: bool) -> Select[Any]:
    query = sql.visible(select(snapshot), ctx, snapshot.c.project_id, everywhere=everywhere)
    for name, value in exact.items():
        query = query.where(snapshot.c[name] == value)
    for key, value in metadata.items():
        query = query.where(holds(snapshot.c.metadata, key, value))
    return query


def on_host(source: Source, host: str) -> list[Snapshot]:
    return sql.rows(source, select(snapshot).where(snapshot.c.host == host), Snapshot)
