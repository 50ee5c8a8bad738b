# SPDX-License-Identifier: Apache-2.0
"""Secrets and their metadata in the database."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, delete, or_, select, update

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.store import pages
from cumulet.services.key_manager.tables import acl_user, secret, secret_metadatum
from cumulet.services.key_manager.types import Page, Secret, SecretMetadatum

COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
}  # fmt: skip
MOST_BITS = 32767


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which secrets, and in which order.

    `name`, `algorithm` and `mode` are patterns with `%` and `_`. `moments` are (column, comparison, time), `sort` is
    (column, descending). `acl_only`: those, of any project, that an access list opens to the caller.
    """

    name: str | None = None
    algorithm: str | None = None
    mode: str | None = None
    bit_length: int | None = None
    secret_type: str | None = None
    moments: tuple[tuple[str, str, datetime], ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    acl_only: bool = False


def find(source: Source, secret_id: str, now: datetime) -> Secret | None:
    """The secret unless it has expired."""
    return sql.row(source, select(secret).where(secret.c.id == secret_id, _good(now)), Secret)


def find_all(source: Source, ctx: Context, filters: Filters, wanted: Page, now: datetime) -> tuple[list[Secret], int]:
    """What the caller may list, and how many there are altogether."""
    query = select(secret).where(_good(now), *_conditions(filters))
    orders = [secret.c[name].desc() if descending else secret.c[name].asc() for name, descending in filters.sort]
    query = query.order_by(*orders, secret.c.created_at, secret.c.id)
    if filters.acl_only:
        query = query.where(secret.c.id.in_(_opened_to(ctx.user_id)))
    query = sql.visible(query, ctx, secret.c.project_id, everywhere=filters.acl_only)
    return pages.page(source, query, wanted, Secret)


def known(source: Source, secret_ids: Iterable[str], project_id: str, now: datetime) -> set[str]:
    """Which of these are there, in this project and not expired."""
    query = select(secret.c.id).where(
        sql.any_of(secret.c.id, secret_ids), secret.c.project_id == project_id, _good(now)
    )
    return set(sql.column(source, query))


def all_ids(source: Source) -> dict[str, bool]:
    """Every secret's id, and whether it has a payload."""
    return {
        secret_id: kind is not None
        for secret_id, kind in sql.tuples(source, select(secret.c.id, secret.c.content_type))
    }


def count(source: Source, project_id: str, now: datetime) -> int:
    return pages.count(source, select(secret.c.id).where(secret.c.project_id == project_id, _good(now)))


def add(tx: Tx, *new: Secret) -> None:
    sql.add(tx, secret, *new)


def change(tx: Tx, secret_id: str, changes: Mapping[str, Any]) -> None:
    sql.execute(tx, update(secret).where(secret.c.id == secret_id).values(changes))


def remove(tx: Tx, *secret_ids: str) -> None:
    sql.execute(tx, delete(secret).where(sql.any_of(secret.c.id, secret_ids)))


def expired(source: Source, before: datetime, limit: int) -> list[str]:
    """The ids of some of the secrets that expired before then."""
    return sql.column(source, select(secret.c.id).where(secret.c.expiration < before).limit(limit))


def metadata_of(source: Source, secret_id: str) -> dict[str, str]:
    query = select(secret_metadatum).where(secret_metadatum.c.secret_id == secret_id)
    rows = sql.rows(source, query.order_by(secret_metadatum.c.key), SecretMetadatum)
    return {row.key: row.value for row in rows}


def set_metadatum(tx: Tx, new: SecretMetadatum) -> None:
    remove_metadatum(tx, new.secret_id, new.key)
    sql.add(tx, secret_metadatum, new)


def remove_metadatum(tx: Tx, secret_id: str, key: str) -> None:
    same = (secret_metadatum.c.secret_id == secret_id, secret_metadatum.c.key == key)
    sql.execute(tx, delete(secret_metadatum).where(*same))


def remove_metadata(tx: Tx, secret_id: str) -> None:
    sql.execute(tx, delete(secret_metadatum).where(secret_metadatum.c.secret_id == secret_id))


def _good(now: datetime) -> ColumnElement[bool]:
    return or_(secret.c.expiration.is_(None), secret.c.expiration > now)


def _opened_to(user_id: str) -> Select[Any]:
    return select(acl_user.c.owner_id).where(acl_user.c.user_id == user_id)


def _conditions(filters: Filters) -> Iterable[ColumnElement[bool]]:
    for column, pattern in (
        (secret.c.name, filters.name), (secret.c.algorithm, filters.algorithm), (secret.c.mode, filters.mode),
    ):  # fmt: skip
        if pattern:
            yield pages.like(column, pattern)
    if filters.bit_length is not None:
        yield secret.c.bit_length == min(filters.bit_length, MOST_BITS + 1)
    if filters.secret_type:
        yield secret.c.secret_type == filters.secret_type
    for name, comparison, moment in filters.moments:
        yield COMPARE[comparison](secret.c[name], moment)
