# SPDX-License-Identifier: Apache-2.0
"""Initiators outside that open volumes without attachments, in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.tables import admission
from cumulet.services.block_storage.types import Admission


def of_volumes(source: Source, volume_ids: Iterable[str]) -> list[Admission]:
    """Oldest first."""
    return sql.find_all(source, admission, Admission, ("generation",), volume_id=list(volume_ids))


def every(source: Source) -> list[Admission]:
    return sql.rows(source, select(admission), Admission)


def add(tx: Tx, new: Admission) -> None:
    sql.add(tx, admission, new)


def remove(tx: Tx, volume_id: str, initiator: str) -> None:
    sql.remove(tx, admission, volume_id=volume_id, initiator=initiator)


def remove_all(tx: Tx, volume_id: str) -> None:
    sql.remove(tx, admission, volume_id=volume_id)
