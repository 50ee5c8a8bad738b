# SPDX-License-Identifier: Apache-2.0
"""Messages to users in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import message
from cumulet.services.block_storage.types import Message, Page


def find(source: Source, ctx: Context, message_id: str) -> Message | None:
    query = select(message).where(message.c.id == message_id)
    return sql.row(source, sql.visible(query, ctx, message.c.project_id, everywhere=ctx.is_admin), Message)


def find_page(source: Source, ctx: Context, page: Page, exact: Mapping[str, Any]) -> list[Message]:
    query = sql.visible(select(message), ctx, message.c.project_id)
    for name, value in exact.items():
        query = query.where(message.c[name] == value)
    return pages.page(source, query, message, page, Message)


def add(tx: Tx, new: Message) -> None:
    sql.add(tx, message, new)


def remove(tx: Tx, message_id: str) -> None:
    sql.execute(tx, delete(message).where(message.c.id == message_id))


def remove_expired(tx: Tx, now: datetime) -> int:
    return sql.execute(tx, delete(message).where(message.c.expires_at < now))
