# SPDX-License-Identifier: Apache-2.0
"""Offered volumes in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import transfer
from cumulet.services.block_storage.types import Page, Transfer


def find(source: Source, transfer_id: str) -> Transfer | None:
    """Whoever made the offer: it is taken by somebody else."""
    return sql.find(source, transfer, Transfer, id=transfer_id)


def find_visible(source: Source, ctx: Context, transfer_id: str) -> Transfer | None:
    query = select(transfer).where(transfer.c.id == transfer_id)
    return sql.row(source, sql.visible(query, ctx, transfer.c.project_id, everywhere=ctx.is_admin), Transfer)


def find_page(
    source: Source, ctx: Context, page: Page, exact: Mapping[str, Any], *, everywhere: bool
) -> list[Transfer]:
    query = sql.visible(select(transfer), ctx, transfer.c.project_id, everywhere=everywhere)
    for name, value in exact.items():
        query = query.where(transfer.c[name] == value)
    return pages.page(source, query, transfer, page, Transfer)


def add(tx: Tx, new: Transfer) -> None:
    sql.add(tx, transfer, new)


def remove(tx: Tx, transfer_id: str) -> None:
    sql.execute(tx, delete(transfer).where(transfer.c.id == transfer_id))


def remove_of_volume(tx: Tx, volume_id: str) -> None:
    sql.remove(tx, transfer, volume_id=volume_id)
