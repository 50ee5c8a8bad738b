# SPDX-License-Identifier: Apache-2.0
"""Keypairs in the database."""

from __future__ import annotations

from sqlalchemy import and_, delete, func, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import keypair
from cumulet.services.compute.types import Keypair


def find(source: Source, user_id: str, name: str) -> Keypair | None:
    return sql.row(source, select(keypair).where(keypair.c.user_id == user_id, keypair.c.name == name), Keypair)


def find_all(source: Source, user_id: str, marker: str | None = None, limit: int | None = None) -> list[Keypair]:
    """A user's keypairs by name, those after the one named `marker`."""
    mine = [keypair.c.user_id == user_id]
    if marker is not None:
        mine.append(keypair.c.name > marker)
    query = select(keypair).where(and_(*mine)).order_by(keypair.c.name)
    return sql.rows(source, query if limit is None else query.limit(limit), Keypair)


def count(source: Source, user_id: str) -> int:
    return int(sql.scalar(source, select(func.count()).where(keypair.c.user_id == user_id)))


def next_id(tx: Tx) -> int:
    return int(sql.scalar(tx, select(func.coalesce(func.max(keypair.c.id), 0)))) + 1


def add(tx: Tx, new: Keypair) -> None:
    sql.add(tx, keypair, new)


def remove(tx: Tx, user_id: str, name: str) -> bool:
    """Whether there was one."""
    return sql.execute(tx, delete(keypair).where(keypair.c.user_id == user_id, keypair.c.name == name)) > 0
