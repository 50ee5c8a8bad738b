# SPDX-License-Identifier: Apache-2.0
"""What was done to servers, in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import action, action_event
from cumulet.services.compute.types import Action, ActionEvent


def of_server(
    source: Source,
    server_id: str,
    *,
    marker: Action | None = None,
    limit: int | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[Action]:
    """The newest first."""
    query = select(action).where(action.c.server_id == server_id)
    if marker is not None:
        query = query.where(action.c.start_time < marker.start_time)
    if since is not None:
        query = query.where(action.c.updated_at >= since)
    if before is not None:
        query = query.where(action.c.updated_at <= before)
    query = query.order_by(action.c.start_time.desc(), action.c.id)
    return sql.rows(source, query if limit is None else query.limit(limit), Action)


def find(source: Source, server_id: str, request_id: str) -> Action | None:
    return sql.find(source, action, Action, server_id=server_id, request_id=request_id)


def add(tx: Tx, new: Action) -> None:
    sql.add(tx, action, new)


def change(tx: Tx, action_id: str, changes: dict[str, Any]) -> None:
    sql.change(tx, action, changes, id=action_id)


def events(source: Source, action_id: str) -> list[ActionEvent]:
    """The newest first."""
    query = select(action_event).where(action_event.c.action_id == action_id)
    return sql.rows(source, query.order_by(action_event.c.start_time.desc()), ActionEvent)


def find_event(source: Source, action_id: str, event: str) -> ActionEvent | None:
    return sql.find(source, action_event, ActionEvent, action_id=action_id, event=event)


def add_event(tx: Tx, new: ActionEvent) -> None:
    sql.add(tx, action_event, new)


def change_event(tx: Tx, event_id: str, changes: dict[str, Any]) -> None:
    sql.change(tx, action_event, changes, id=event_id)
