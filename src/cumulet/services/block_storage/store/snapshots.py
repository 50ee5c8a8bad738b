# SPDX-License-Identifier: Apache-2.0
"""Snapshots in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, func, select

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.store.words import holds, is_at
from cumulet.services.block_storage.tables import snapshot
from cumulet.services.block_storage.types import Page, Snapshot

Words = Mapping[str, str]
# Kept: to make a statement costs ten times as much as to run it.
_USAGE = (
    select(snapshot.c.volume_type_id, func.count(), func.sum(snapshot.c.size))
    .where(snapshot.c.project_id == bindparam("project"))
    .group_by(snapshot.c.volume_type_id)
)


def find(source: Source, snapshot_id: str) -> Snapshot | None:
    return sql.find(source, snapshot, Snapshot, id=snapshot_id)


def find_visible(source: Source, ctx: Context, snapshot_id: str) -> Snapshot | None:
    own = {} if ctx.is_admin else {"project_id": ctx.project_id}
    return sql.find(source, snapshot, Snapshot, id=snapshot_id, **own)


def find_page(
    source: Source, ctx: Context, page: Page, exact: Mapping[str, Any], metadata: Words, *, everywhere: bool
) -> list[Snapshot]:
    if not exact and not metadata and page.is_first:
        return pages.first(source, ctx, snapshot, page, Snapshot, everywhere=everywhere)
    return pages.page(source, _query(ctx, exact, metadata, everywhere), snapshot, page, Snapshot)


def count(source: Source, ctx: Context, exact: Mapping[str, Any], metadata: Words, *, everywhere: bool) -> int:
    return pages.count(source, _query(ctx, exact, metadata, everywhere))


def of_volume(source: Source, volume_id: str) -> list[Snapshot]:
    """Oldest first."""
    return sql.find_all(source, snapshot, Snapshot, ("created_at", "id"), volume_id=volume_id)


def of_group(source: Source, group_snapshot_id: str) -> list[Snapshot]:
    """The snapshots that are one of a group."""
    query = select(snapshot).where(snapshot.c.group_snapshot_id == group_snapshot_id)
    return sql.rows(source, query.order_by(snapshot.c.created_at, snapshot.c.id), Snapshot)


def every(source: Source) -> list[Snapshot]:
    return sql.rows(source, select(snapshot), Snapshot)


def add(tx: Tx, new: Snapshot) -> None:
    sql.add(tx, snapshot, new)


def change(tx: Tx, snapshot_id: str, **values: Any) -> None:
    sql.change(tx, snapshot, {"updated_at": clock.utcnow(), **values}, id=snapshot_id)


def changed(tx: Tx, old: Snapshot, **values: Any) -> Snapshot:
    """Change the snapshot whose row was read in this transaction; as it is now."""
    values["updated_at"] = clock.utcnow()
    sql.change(tx, snapshot, values, id=old.id)
    return msgspec.structs.replace(old, **values)


def remove(tx: Tx, snapshot_id: str) -> None:
    sql.remove(tx, snapshot, id=snapshot_id)


def usage(source: Source, project_id: str) -> dict[str, tuple[int, int]]:
    """Number and GiB of the project's snapshots by volume type."""
    found = sql.tuples(source, _USAGE, {"project": project_id})
    return {row[0]: (int(row[1]), int(row[2] or 0)) for row in found}


def _query(ctx: Context, exact: Mapping[str, Any], metadata: Words, everywhere: bool) -> Select[Any]:
    query = sql.visible(select(snapshot), ctx, snapshot.c.project_id, everywhere=everywhere)
    for name, value in exact.items():
        query = query.where(is_at(snapshot, value) if name == "host" else snapshot.c[name] == value)
    for key, value in metadata.items():
        query = query.where(holds(snapshot.c.metadata, key, value))
    return query


def on_backend(source: Source, host: str, backend: str) -> list[Snapshot]:
    return sql.rows(source, select(snapshot).where(snapshot.c.host == host, snapshot.c.backend == backend), Snapshot)
