# SPDX-License-Identifier: Apache-2.0
"""Key-encryption keys (without their bytes) and what they have sealed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, exists, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.tables import key, payload
from cumulet.services.key_manager.types import Key, Payload


def active(source: Source, project_id: str) -> Key | None:
    """The key that seals for a project."""
    return sql.row(source, select(key).where(key.c.project_id == project_id, key.c.retired_at.is_(None)), Key)


def find_all(source: Source) -> list[Key]:
    return sql.rows(source, select(key).order_by(key.c.created_at, key.c.id), Key)


def projects(source: Source) -> list[str]:
    """The projects that have a key which seals."""
    return sql.column(source, select(key.c.project_id).where(key.c.retired_at.is_(None)).order_by(key.c.project_id))


def add(tx: Tx, new: Key) -> None:
    sql.add(tx, key, new)


def retire(tx: Tx, key_id: str, now: datetime) -> None:
    sql.execute(tx, update(key).where(key.c.id == key_id).values(retired_at=now))


def idle(source: Source, before: datetime) -> list[str]:
    """The keys that were retired before then and have nothing left to open."""
    unused = ~exists().where(payload.c.key_id == key.c.id)
    return sql.column(source, select(key.c.id).where(key.c.retired_at < before, unused))


def remove(tx: Tx, key_id: str) -> bool:
    """Forget a key unless something needs it after all."""
    unused = ~exists().where(payload.c.key_id == key_id)
    return sql.execute(tx, delete(key).where(key.c.id == key_id, unused)) == 1


def payload_of(source: Source, owner_id: str) -> Payload | None:
    return sql.find(source, payload, Payload, id=owner_id)


def payloads(source: Source, after: str, limit: int) -> list[Payload]:
    """The next payloads in the order of their ids."""
    return sql.rows(source, select(payload).where(payload.c.id > after).order_by(payload.c.id).limit(limit), Payload)


def under_retired(source: Source, limit: int) -> list[tuple[Payload, str]]:
    """Payloads under a key that seals no more, with their projects."""
    query = select(payload, key.c.project_id).join(key, key.c.id == payload.c.key_id)
    rows = sql.tuples(source, query.where(key.c.retired_at.is_not(None)).order_by(payload.c.id).limit(limit))
    return [(Payload(*row[:3]), row[3]) for row in rows]


def add_payloads(tx: Tx, new: Iterable[Payload]) -> None:
    sql.add(tx, payload, *new)


def replace_payload(tx: Tx, old: Payload, new: Payload) -> bool:
    """Put `new` where `old` still stands."""
    same = (payload.c.id == old.id, payload.c.key_id == old.key_id)
    return sql.execute(tx, update(payload).where(*same).values(key_id=new.key_id, sealed=new.sealed)) == 1


def remove_payloads(tx: Tx, *owner_ids: str) -> None:
    sql.execute(tx, delete(payload).where(sql.any_of(payload.c.id, owner_ids)))
