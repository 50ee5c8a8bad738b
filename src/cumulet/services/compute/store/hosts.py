# SPDX-License-Identifier: Apache-2.0
"""Hosts and their aggregates in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import aggregate, host
from cumulet.services.compute.types import Aggregate, ComputeHost

_FORGET_FAILED_BUILDS = (
    update(host).where(host.c.name == bindparam("host"), host.c.failed_builds > 0).values(failed_builds=0)
)


def find(source: Source, name: str) -> ComputeHost | None:
    return sql.find(source, host, ComputeHost, name=name)


def find_all(source: Source) -> list[ComputeHost]:
    return sql.find_all(source, host, ComputeHost, ("number",))


def next_number(tx: Tx) -> int:
    return int(sql.scalar(tx, select(func.coalesce(func.max(host.c.number), 0)))) + 1


def add(tx: Tx, new: ComputeHost) -> None:
    sql.add(tx, host, new)


def change(tx: Tx, name: str, changes: dict[str, Any]) -> None:
    sql.change(tx, host, changes, name=name)


def count_failed_build(tx: Tx, name: str) -> None:
    sql.execute(tx, update(host).where(host.c.name == name).values(failed_builds=host.c.failed_builds + 1))


def forget_failed_builds(tx: Tx, name: str) -> None:
    sql.execute(tx, _FORGET_FAILED_BUILDS, {"host": name})


def remove(tx: Tx, name: str) -> None:
    sql.execute(tx, delete(host).where(host.c.name == name))


def aggregates(source: Source) -> list[Aggregate]:
    return sql.find_all(source, aggregate, Aggregate, ("id",))


def find_aggregate(source: Source, aggregate_id: int) -> Aggregate | None:
    return sql.find(source, aggregate, Aggregate, id=aggregate_id)


def next_aggregate_id(tx: Tx) -> int:
    return int(sql.scalar(tx, select(func.coalesce(func.max(aggregate.c.id), 0)))) + 1


def add_aggregate(tx: Tx, new: Aggregate) -> None:
    sql.add(tx, aggregate, new)


def change_aggregate(tx: Tx, aggregate_id: int, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(aggregate).where(aggregate.c.id == aggregate_id).values(changes))


def remove_aggregate(tx: Tx, aggregate_id: int) -> None:
    sql.execute(tx, delete(aggregate).where(aggregate.c.id == aggregate_id))
