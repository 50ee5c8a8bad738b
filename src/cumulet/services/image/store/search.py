# SPDX-License-Identifier: Apache-2.0
"""The list of images as one query: who sees what, filters, order and pages."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from cumulet.kernel.db import Source, sql
from cumulet.services.image.store.pages import paged
from cumulet.services.image.tables import image, member, property_, tag
from cumulet.services.image.types import Image, Visibility

Comparison = Literal["eq", "neq", "lt", "lte", "gt", "gte", "in"]

_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}

# What a row without a value is sorted as, so that a page can begin after it.
_INSTEAD: Mapping[str, Any] = {"name": "", "container_format": "", "disk_format": "", "size": 0}


class Filter(msgspec.Struct, frozen=True):
    """One condition on a column."""

    column: str
    comparison: Comparison
    value: Any


class Order(msgspec.Struct, frozen=True):
    """One key of the order."""

    column: str
    descending: bool


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for.

    `project_id` is whose view it is, None for somebody of no project; `everywhere` is an administrator's view.
    `visibility` is one kind, "all", or None (all but strangers' community images). `member_status` says which of the
    images shared with the project count, "all" for any. The page begins after the image `marker`.
    """

    project_id: str | None
    everywhere: bool = False
    visibility: str | None = None
    member_status: str = "accepted"
    filters: tuple[Filter, ...] = ()
    properties: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()
    order: tuple[Order, ...] = (Order("created_at", descending=True), Order("id", descending=True))
    marker: Image | None = None
    limit: int = 25


def find(source: Source, search: Search) -> list[Image]:
    """One page of images."""
    query = _visible(select(image), search)
    for condition in search.filters:
        query = query.where(_condition(condition))
    for name, value in search.properties.items():
        has = select(property_.c.image_id).where(property_.c.name == name, property_.c.value == value)
        query = query.where(image.c.id.in_(has))
    for value in search.tags:
        query = query.where(image.c.id.in_(select(tag.c.image_id).where(tag.c.value == value)))
    query = paged(
        query,
        [(_key(each.column), each.descending) for each in search.order],
        None if search.marker is None else [_value(search.marker, each.column) for each in search.order],
    )
    return sql.rows(source, query.limit(search.limit), Image)


def _visible(query: Select[Any], search: Search) -> Select[Any]:
    if search.visibility is None:
        mine = image.c.owner == search.project_id if search.project_id is not None else image.c.owner != image.c.owner
        query = query.where(or_(mine, image.c.visibility != Visibility.COMMUNITY))
    elif search.visibility != "all":
        query = query.where(image.c.visibility == search.visibility)
    if search.everywhere:
        return query
    ways: list[ColumnElement[bool]] = [image.c.visibility.in_([Visibility.PUBLIC, Visibility.COMMUNITY])]
    if search.project_id is not None:
        shared = select(member.c.image_id).where(member.c.member_id == search.project_id)
        if search.member_status != "all":
            shared = shared.where(member.c.status == search.member_status)
        ways.append(image.c.owner == search.project_id)
        ways.append(and_(image.c.visibility == Visibility.SHARED, image.c.id.in_(shared)))
    return query.where(or_(*ways))


def _condition(condition: Filter) -> ColumnElement[bool]:
    column = image.c[condition.column]
    if condition.comparison == "in":
        return sql.any_of(column, condition.value)
    found: ColumnElement[bool] = _COMPARISONS[condition.comparison](column, condition.value)
    return found


def _key(name: str) -> ColumnElement[Any]:
    return func.coalesce(image.c[name], _INSTEAD[name]) if name in _INSTEAD else image.c[name]


def _value(marker: Image, name: str) -> str | int | datetime:
    value: str | int | datetime | None = getattr(marker, name)
    return _INSTEAD[name] if value is None else value
