# SPDX-License-Identifier: Apache-2.0
"""The hosts' back ends in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.tables import backend, move, snapshot, volume
from cumulet.services.block_storage.types import Backend


def find(source: Source, host: str, name: str) -> Backend | None:
    return sql.find(source, backend, Backend, host=host, name=name)


def find_all(source: Source) -> list[Backend]:
    """By host and name."""
    return sql.find_all(source, backend, Backend, ("host", "name"))


def on_host(source: Source, host: str) -> list[Backend]:
    return sql.find_all(source, backend, Backend, ("name",), host=host)


def add(tx: Tx, new: Backend) -> None:
    sql.add(tx, backend, new)


def change(tx: Tx, host: str, name: str, **values: Any) -> None:
    sql.change(tx, backend, values, host=host, name=name)


def remove(tx: Tx, host: str, name: str) -> None:
    sql.remove(tx, backend, host=host, name=name)


def is_empty(source: Source, host: str, name: str) -> bool:
    """Whether no row says that something is on the back end."""
    return not any(
        sql.column(source, select(table.c.host).where(table.c.host == host, table.c.backend == name).limit(1))
        for table in (volume, snapshot, move)
    )


def name_unnamed(tx: Tx, host: str, name: str) -> None:
    """What is on the host, and does not say on which of its back ends, is on this one."""
    for table in (volume, snapshot):
        sql.execute(tx, update(table).where(table.c.host == host, table.c.backend == "").values(backend=name))
