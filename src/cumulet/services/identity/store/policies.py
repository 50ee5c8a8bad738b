# SPDX-License-Identifier: Apache-2.0
"""Stored policies in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import stored_policy as table
from cumulet.services.identity.types import StoredPolicy


def find(source: Source, policy_id: str) -> StoredPolicy | None:
    return sql.find(source, table, StoredPolicy, id=policy_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[StoredPolicy]:
    return sql.rows(source, apply(select(table).order_by(table.c.id), table, filters), StoredPolicy)


def add(tx: Tx, new: StoredPolicy) -> None:
    sql.add(tx, table, new)


def change(tx: Tx, policy_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(table).where(table.c.id == policy_id).values(changes))


def remove(tx: Tx, policy_id: str) -> None:
    sql.execute(tx, delete(table).where(table.c.id == policy_id))
