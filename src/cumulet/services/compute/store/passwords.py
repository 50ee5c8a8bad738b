# SPDX-License-Identifier: Apache-2.0
"""Passwords that guests have posted."""

from __future__ import annotations

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import server_password
from cumulet.services.compute.types import ServerPassword


def find(source: Source, server_id: str) -> ServerPassword | None:
    return sql.row(source, select(server_password).where(server_password.c.server_id == server_id), ServerPassword)


def add(tx: Tx, new: ServerPassword) -> None:
    sql.add(tx, server_password, new)


def remove(tx: Tx, server_id: str) -> None:
    sql.execute(tx, delete(server_password).where(server_password.c.server_id == server_id))
