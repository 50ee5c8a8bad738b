# SPDX-License-Identifier: Apache-2.0
"""What is the same for every resource: one row, many rows, adding, changing, removing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, Update, bindparam, select, update

from cumulet.kernel import clock
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network import tables
from cumulet.services.network.types import (
    Agent,
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    SubnetPool,
)

Row = TypeVar("Row", Network, Subnet, SubnetPool, Port, Router, FloatingIp, SecurityGroup, SecurityGroupRule, Agent)

OLDEST = ("created_at", "id")
TABLES: dict[type, Table] = {
    Network: tables.network,
    Subnet: tables.subnet,
    SubnetPool: tables.subnet_pool,
    Port: tables.port,
    Router: tables.router,
    FloatingIp: tables.floating_ip,
    SecurityGroup: tables.security_group,
    SecurityGroupRule: tables.security_group_rule,
    Agent: tables.agent,
}


def find(source: Source, kind: type[Row], key: str) -> Row | None:
    """The row with this id."""
    table = TABLES[kind]
    return sql.find(source, table, kind, id=key)


def find_all(source: Source, kind: type[Row], *where: ColumnElement[bool], **values: Iterable[Any]) -> list[Row]:
    """The rows whose columns hold one of the values given for each, oldest first."""
    table = TABLES[kind]
    if not where:
        return sql.find_all(source, table, kind, OLDEST, **{name: list(listed) for name, listed in values.items()})
    query = select(table).where(*where, *(sql.any_of(table.c[name], listed) for name, listed in values.items()))
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), kind)


def by_id(source: Source, kind: type[Row], keys: Iterable[str]) -> dict[str, Row]:
    """Rows by id, those that exist."""
    return {row.id: row for row in find_all(source, kind, id=set(keys))}


def add(tx: Tx, *rows: Any) -> None:
    """Insert rows of one kind."""
    if rows:
        sql.add(tx, TABLES[type(rows[0])], *rows)


def change(tx: Tx, kind: type[Row], key: str, values: Mapping[str, Any]) -> None:
    """Change columns; what the user sees as a new revision of the resource."""
    fresh = {"updated_at": clock.utcnow(), **values}
    statement = _revision(TABLES[kind], tuple(fresh))
    sql.execute(tx, statement, {"key": key, **{f"new_{name}": value for name, value in fresh.items()}})


def touch(tx: Tx, kind: type[Row], key: str) -> None:
    """A new revision of a resource of which something that belongs to it has changed."""
    change(tx, kind, key, {})


def set_quietly(tx: Tx, kind: type[Row], keys: Iterable[str], values: Mapping[str, Any]) -> None:
    """Change columns that are the cloud's own affair, without a new revision."""
    if values:
        sql.change(tx, TABLES[kind], values, id=list(keys))


def remove(tx: Tx, kind: type[Row], keys: Iterable[str]) -> None:
    """Delete rows by id."""
    sql.remove(tx, TABLES[kind], id=list(keys))


@cache
def _revision(table: Table, names: tuple[str, ...]) -> Update:
    """Set these columns of one row, and count its revision."""
    fresh: dict[str, Any] = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    if "revision_number" not in fresh:
        fresh["revision_number"] = table.c.revision_number + 1
    return update(table).where(table.c.id == bindparam("key")).values(fresh)
