# SPDX-License-Identifier: Apache-2.0
"""Volumes on their way in the database."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.tables import move
from cumulet.services.block_storage.types.moves import Move


def find(source: Source, volume_id: str) -> Move | None:
    return sql.find(source, move, Move, volume_id=volume_id)


def every(source: Source) -> list[Move]:
    return sql.find_all(source, move, Move)


def add(tx: Tx, new: Move) -> None:
    sql.add(tx, move, new)


def change(tx: Tx, volume_id: str, **values: Any) -> None:
    sql.change(tx, move, values, volume_id=volume_id)


def remove(tx: Tx, volume_id: str) -> None:
    sql.remove(tx, move, volume_id=volume_id)
