# SPDX-License-Identifier: Apache-2.0
"""Servers and their tags in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Integer, Select, Text, and_, bindparam, delete, func, or_, select, type_coerce

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import device, server, server_tag
from cumulet.services.compute.types import Server, ServerTag, TaskState, VmState

ALIVE = server.c.deleted_at.is_(None)
MOST = 2**31 - 1  # rows, where there is no limit
_SIZES = (
    select(server.c.user_id, server.c.flavor, func.count())
    .where(server.c.project_id == bindparam("project"), ALIVE, server.c.vm_state != VmState.SOFT_DELETED.value)
    .group_by(server.c.user_id, server.c.flavor)
)


class Criteria(msgspec.Struct, kw_only=True):
    """Which servers are wanted; None and empty stand for no limit.

    Those that are deleted for the time being are there only with `soft_deleted`, or where `deleted` says nothing.
    `equal` and `among` are by column, `like` are patterns by column, as `logic.patterns` makes them. A server must have
    all of `tags`, any of `tags_any`, not all of `not_tags`, none of `not_tags_any`. `order` holds columns and whether
    they ascend.
    """

    everywhere: bool = False
    deleted: bool | None = False
    soft_deleted: bool = False
    equal: dict[str, Any] = {}
    among: dict[str, list[Any]] = {}
    like: dict[str, str] = {}
    flavor_id: str | None = None
    changed_since: datetime | None = None
    changed_before: datetime | None = None
    locked: bool | None = None
    ids: list[str] | None = None
    tags: list[str] = []
    tags_any: list[str] = []
    not_tags: list[str] = []
    not_tags_any: list[str] = []
    order: list[tuple[str, bool]] = []
    limit: int | None = None


def find(source: Source, server_id: str) -> Server | None:
    """A server that was not deleted."""
    return sql.find(source, server, Server, id=server_id, deleted_at=None)


def find_any(source: Source, server_id: str) -> Server | None:
    """A server, deleted ones included."""
    return sql.find(source, server, Server, id=server_id)


def find_visible(source: Source, ctx: Context, server_id: str) -> Server | None:
    own = {} if ctx.is_admin else {"project_id": ctx.project_id}
    return sql.find(source, server, Server, id=server_id, deleted_at=None, **own)


def find_all(source: Source, ctx: Context, criteria: Criteria, marker: Server | None = None) -> list[Server]:
    """The servers that fit, in the order asked for, after `marker`."""
    if marker is None and criteria == Criteria(everywhere=criteria.everywhere, limit=criteria.limit):
        limit = MOST if criteria.limit is None else criteria.limit
        return sql.rows(source, _plain(criteria.everywhere), Server, {"project": ctx.project_id, "limit": limit})
    query = sql.visible(select(server), ctx, server.c.project_id, everywhere=criteria.everywhere)
    query = query.where(*_conditions(criteria))
    # A key that decides among equals makes pages complete; created_at and id are what compute ends every order with.
    order = list(dict([("created_at", False), ("id", False), *reversed(criteria.order)]).items())
    order = [*criteria.order, *(each for each in order if each[0] not in dict(criteria.order))]
    if marker is not None:
        query = query.where(_after(marker, order))
    query = query.order_by(*(_sorted(name, ascending) for name, ascending in order))
    if criteria.limit is not None:
        query = query.limit(criteria.limit)
    return sql.rows(source, query, Server)


@cache
def _plain(everywhere: bool) -> Select[Any]:
    """What is listed where nothing in particular is asked for."""
    query = select(server) if everywhere else select(server).where(server.c.project_id == bindparam("project"))
    newest = [_sorted("created_at", False), _sorted("id", False)]
    return query.where(*_conditions(Criteria())).order_by(*newest).limit(bindparam("limit", type_=Integer))


def alive(source: Source) -> list[Server]:
    """Every server that was not deleted."""
    return sql.rows(source, select(server).where(ALIVE), Server)


def busy_since(source: Source, before: datetime) -> list[Server]:
    """Servers in the middle of something that have not changed since the moment."""
    query = select(server).where(ALIVE, server.c.updated_at < before)
    return sql.rows(
        source, query.where(or_(server.c.task_state.is_not(None), server.c.vm_state == VmState.BUILDING.value)), Server
    )


def on_host(source: Source, host: str) -> list[Server]:
    return sql.rows(source, select(server).where(server.c.host == host, ALIVE).order_by(server.c.created_at), Server)


def in_group(source: Source, group_id: str) -> list[Server]:
    query = select(server).where(server.c.group_id == group_id, ALIVE)
    return sql.rows(source, query.order_by(server.c.created_at, server.c.id), Server)


def named(source: Source, project_id: str, hostname: str) -> list[str]:
    """Ids of the project's servers with this host name."""
    query = select(server.c.id).where(server.c.project_id == project_id, server.c.hostname == hostname, ALIVE)
    return sql.column(source, query)


def sizes(source: Source, project_id: str) -> list[tuple[str, dict[str, Any], int]]:
    """The project's servers, counted by user and flavor: user id, flavor, how many. What is deleted does not count."""
    return [(row[0], row[1], row[2]) for row in sql.tuples(source, _SIZES, {"project": project_id})]


def alive_within(source: Source, start: datetime, end: datetime, project_id: str | None) -> list[Server]:
    """Servers, deleted ones too, that existed at some time between `start` and `end`."""
    query = select(server).where(
        server.c.launched_at.is_not(None),
        server.c.launched_at < end,
        or_(server.c.terminated_at.is_(None), server.c.terminated_at > start),
    )
    if project_id is not None:
        query = query.where(server.c.project_id == project_id)
    return sql.rows(source, query.order_by(server.c.project_id, server.c.created_at), Server)


def with_volume(source: Source, volume_id: str) -> list[Server]:
    query = select(server).join(device, device.c.server_id == server.c.id).where(device.c.volume_id == volume_id, ALIVE)
    return sql.rows(source, query.order_by(server.c.created_at, server.c.id), Server)


def busy_by_host(source: Source, tasks: Iterable[TaskState]) -> dict[str, int]:
    """How many servers of each host are being built, or are in the middle of one of these tasks."""
    heavy = or_(server.c.vm_state == VmState.BUILDING.value, server.c.task_state.in_([each.value for each in tasks]))
    query = select(server.c.host, func.count()).where(ALIVE, heavy, server.c.host != "")
    return {str(host): int(count) for host, count in sql.tuples(source, query.group_by(server.c.host))}


def add(tx: Tx, new: Server) -> None:
    sql.add(tx, server, new)


def change(tx: Tx, server_id: str, changes: Mapping[str, Any], *, only_if: Mapping[str, Any] | None = None) -> bool:
    """Change a server that was not deleted; False where there is none, or where `only_if` does not hold."""
    return sql.change(tx, server, changes, id=server_id, deleted_at=None, **(only_if or {})) > 0


def forget(tx: Tx, before: datetime) -> int:
    """Remove servers that were deleted before the moment."""
    return sql.execute(tx, delete(server).where(server.c.deleted_at < before))


def tags(source: Source, server_ids: Iterable[str]) -> dict[str, list[str]]:
    """The tags of each server, sorted; servers without are absent."""
    found: dict[str, list[str]] = {}
    for each in sql.find_all(source, server_tag, ServerTag, ("tag",), server_id=list(server_ids)):
        found.setdefault(each.server_id, []).append(each.tag)
    return found


def replace_tags(tx: Tx, server_id: str, tags: Iterable[str]) -> None:
    sql.remove(tx, server_tag, server_id=server_id)
    sql.add(tx, server_tag, *(ServerTag(server_id=server_id, tag=tag) for tag in tags))


def _conditions(criteria: Criteria) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if criteria.deleted is not None:
        found.append(server.c.deleted_at.is_not(None) if criteria.deleted else ALIVE)
    if criteria.deleted is False and not criteria.soft_deleted:
        found.append(server.c.vm_state != VmState.SOFT_DELETED.value)
    for name, value in criteria.equal.items():
        found.append(server.c[name].is_(None) if value is None else server.c[name] == value)
    for name, values in criteria.among.items():
        found.append(sql.any_of(server.c[name], values))
    for name, pattern in criteria.like.items():
        found.append(server.c[name].ilike(pattern, escape="\\"))
    if criteria.flavor_id is not None:
        flavor = type_coerce(server.c.flavor, Text)
        found.append(flavor.contains(f'"id":"{criteria.flavor_id}"', autoescape=True))
    if criteria.changed_since is not None:
        found.append(server.c.updated_at >= criteria.changed_since)
    if criteria.changed_before is not None:
        found.append(server.c.updated_at <= criteria.changed_before)
    if criteria.locked is not None:
        found.append(server.c.locked_by.is_not(None) if criteria.locked else server.c.locked_by.is_(None))
    if criteria.ids is not None:
        found.append(sql.any_of(server.c.id, criteria.ids))
    return found + _tag_conditions(criteria)


def _tag_conditions(criteria: Criteria) -> list[ColumnElement[bool]]:
    def tagged(values: list[str]) -> Select[Any]:
        return select(server_tag.c.server_id).where(server_tag.c.tag.in_(values))

    every: list[ColumnElement[bool]] = [server.c.id.in_(tagged([tag])) for tag in criteria.tags]
    if criteria.tags_any:
        every.append(server.c.id.in_(tagged(criteria.tags_any)))
    if criteria.not_tags:
        every.append(~and_(*(server.c.id.in_(tagged([tag])) for tag in criteria.not_tags)))
    if criteria.not_tags_any:
        every.append(server.c.id.not_in(tagged(criteria.not_tags_any)))
    return every


def _sorted(name: str, ascending: bool) -> ColumnElement[Any]:
    column: ColumnElement[Any] = server.c[name]
    return column.asc().nulls_first() if ascending else column.desc().nulls_last()


def _after(marker: Server, order: list[tuple[str, bool]]) -> ColumnElement[bool]:
    """Rows that stand behind the marker: greater in some key and equal in all keys before it. NULL is the least."""
    behind: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for name, ascending in order:
        column: ColumnElement[Any] = server.c[name]
        value = getattr(marker, name)
        if value is None:
            greater: list[ColumnElement[bool]] = [column.is_not(None)] if ascending else []
        else:
            greater = [column > value] if ascending else [or_(column < value, column.is_(None))]
        behind.extend(and_(*equal, one) for one in greater)
        equal.append(column.is_(None) if value is None else column == value)
    return or_(*behind)
