# SPDX-License-Identifier: Apache-2.0
"""Attachments in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import select

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import attachment
from cumulet.services.block_storage.types import Attachment, Page


def find(source: Source, attachment_id: str) -> Attachment | None:
    return sql.find(source, attachment, Attachment, id=attachment_id)


def find_visible(source: Source, ctx: Context, attachment_id: str) -> Attachment | None:
    own = {} if ctx.is_admin else {"project_id": ctx.project_id}
    return sql.find(source, attachment, Attachment, id=attachment_id, **own)


def find_page(
    source: Source, ctx: Context, page: Page, exact: Mapping[str, Any], *, everywhere: bool
) -> list[Attachment]:
    query = sql.visible(select(attachment), ctx, attachment.c.project_id, everywhere=everywhere)
    for name, value in exact.items():
        query = query.where(attachment.c[name] == value)
    return pages.page(source, query, attachment, page, Attachment)


def of_volumes(source: Source, volume_ids: Iterable[str]) -> list[Attachment]:
    """Oldest first."""
    return sql.find_all(source, attachment, Attachment, ("created_at", "id"), volume_id=list(volume_ids))


def of_servers(source: Source, server_ids: Iterable[str]) -> list[Attachment]:
    """Oldest first."""
    return sql.find_all(source, attachment, Attachment, ("created_at", "id"), server_id=list(server_ids))


def every(source: Source) -> list[Attachment]:
    return sql.rows(source, select(attachment), Attachment)


def add(tx: Tx, new: Attachment) -> None:
    sql.add(tx, attachment, new)


def change(tx: Tx, attachment_id: str, **values: Any) -> None:
    sql.change(tx, attachment, values, id=attachment_id)


def changed(tx: Tx, old: Attachment, **values: Any) -> Attachment:
    """Change the attachment whose row was read in this transaction; as it is now."""
    sql.change(tx, attachment, values, id=old.id)
    return msgspec.structs.replace(old, **values)


def remove(tx: Tx, attachment_id: str) -> None:
    sql.remove(tx, attachment, id=attachment_id)


def remove_all(tx: Tx, volume_id: str) -> None:
    sql.remove(tx, attachment, volume_id=volume_id)
