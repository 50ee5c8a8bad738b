# SPDX-License-Identifier: Apache-2.0
"""Attachments in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import attachment
from cumulet.services.block_storage.types import Attachment, Page


def find(source: Source, attachment_id: str) -> Attachment | None:
    return sql.find(source, attachment, Attachment, id=attachment_id)


def find_visible(source: Source, ctx: Context, attachment_id: str) -> Attachment | None:
    query = select(attachment).where(attachment.c.id == attachment_id)
    return sql.row(source, sql.visible(query, ctx, attachment.c.project_id, everywhere=ctx.is_admin), Attachment)


def find_page(
    source: Source, ctx: Context, page: Page, exact: Mapping[str, Any], *, everywhere: bool
) -> list[Attachment]:
    query = sql.visible(select(attachment), ctx, attachment.c.project_id, everywhere=everywhere)
    for name, value in exact.items():
        query = query.where(attachment.c[name] == value)
    return pages.page(source, query, attachment, page, Attachment)


def of_volumes(source: Source, volume_ids: Iterable[str]) -> list[Attachment]:
    """Oldest first."""
    query = select(attachment).where(sql.any_of(attachment.c.volume_id, volume_ids))
    return sql.rows(source, query.order_by(attachment.c.created_at, attachment.c.id), Attachment)


def of_servers(source: Source, server_ids: Iterable[str]) -> list[Attachment]:
    """Oldest first."""
    query = select(attachment).where(sql.any_of(attachment.c.server_id, server_ids))
    return sql.rows(source, query.order_by(attachment.c.created_at, attachment.c.id), Attachment)


def every(source: Source) -> list[Attachment]:
    return sql.rows(source, select(attachment), Attachment)


def add(tx: Tx, new: Attachment) -> None:
    sql.add(tx, attachment, new)


def change(tx: Tx, attachment_id: str, **values: Any) -> None:
    sql.execute(tx, update(attachment).where(attachment.c.id == attachment_id).values(**values))


def remove(tx: Tx, attachment_id: str) -> None:
    sql.execute(tx, delete(attachment).where(attachment.c.id == attachment_id))


def remove_all(tx: Tx, volume_id: str) -> None:
    sql.execute(tx, delete(attachment).where(attachment.c.volume_id == volume_id))
