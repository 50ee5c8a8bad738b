# SPDX-License-Identifier: Apache-2.0
"""The hosts' volume services in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.tables import backend
from cumulet.services.block_storage.types import Backend


def find(source: Source, host: str) -> Backend | None:
    return sql.find(source, backend, Backend, host=host)


def find_all(source: Source) -> list[Backend]:
    return sql.rows(source, select(backend).order_by(backend.c.host), Backend)


def add(tx: Tx, new: Backend) -> None:
    sql.add(tx, backend, new)


def change(tx: Tx, host: str, **values: Any) -> None:
    sql.execute(tx, update(backend).where(backend.c.host == host).values(**values))
