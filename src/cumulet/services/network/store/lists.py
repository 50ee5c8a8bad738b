# SPDX-License-Identifier: Apache-2.0
"""Lists as the database can shorten them: by what filters say, and a page at a time.

A condition here may let too much pass, for filters are judged once more in what is shown; it never holds back what
they would let pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Select, Table, Text, and_, false, literal, or_, select, type_coerce

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, sql
from cumulet.services.network.store import kinds
from cumulet.services.network.store.kinds import Row
from cumulet.services.network.tables import allocation, membership, network, port

Order = Sequence[tuple[str, bool]]  # columns; whether the last comes first
Condition = ColumnElement[bool]

# Attributes that are shown as the column of their name holds them, in every table that has it.
SAME = frozenset(
    {"id", "name", "project_id", "network_id", "device_id", "device_owner", "security_group_id", "floating_ip_address"}
    | {"router_id", "mac_address", "cidr", "floating_network_id", "remote_group_id", "remote_address_group_id"}
    | {"admin_state_up", "ip_version", "enable_dhcp", "direction", "ethertype", "port_id", "subnetpool_id"}
    | {"object_id", "object_type", "action", "target_project", "fixed_ip_address", "service_type", "enabled"}
)
_LONG_AGO = datetime(1970, 1, 1)
_MOST = 2**31 - 1  # what every database takes for an integer


def compared(kind: type[Row], name: str, values: Sequence[Any]) -> bool:
    """Whether a column of that name says all that a filter by these values asks."""
    column = kinds.of(kind).table.c.get(name)
    if column is None or name not in SAME:
        return False
    wanted = column.type.python_type
    return all(type(value) is wanted and value != "" and not _is_huge(value) for value in values)


def equal(kind: type[Row], columns: Mapping[str, Iterable[Any]]) -> list[Condition]:
    """Rows whose columns hold one of the values given for each."""
    table = kinds.of(kind).table
    return [sql.any_of(table.c[name], values) for name, values in columns.items()]


def sorts(kind: type[Row], order: Order) -> bool:
    """Whether rows can be told in that order by their columns."""
    columns = kinds.of(kind).table.c
    return all(name in SAME and name in columns for name, _ in order)


def narrowing(kind: type[Row], wanted: Mapping[str, Sequence[Any]]) -> list[Condition]:
    """What can be said of the rows that filters other than those by columns let pass."""
    table = kinds.of(kind).table
    found: list[Condition] = []
    for name, values in wanted.items():
        special = _SPECIAL.get((table.name, name)) or _GENERAL.get(name)
        if special is not None:
            found += special(table, values)
    return found


def find(source: Source, ctx: Context, kind: type[Row], everywhere: bool, *where: Condition) -> list[Row]:
    """All rows that the caller may see and that fit, oldest first."""
    table = kinds.of(kind).table
    query = _visible(ctx, kind, everywhere).where(*where)
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), kind)


def find_page(
    source: Source,
    ctx: Context,
    kind: type[Row],
    everywhere: bool,
    where: Sequence[Condition],
    order: Order,
    after: Row | None,
    limit: int,
) -> list[Row]:
    """The first rows behind `after` (None: from the beginning) in that order; what is equal, oldest first."""
    table = kinds.of(kind).table
    query = _visible(ctx, kind, everywhere).where(*where)
    if after is not None:
        query = query.where(_behind(table, order, after))
    return sql.rows(source, query.order_by(*_ordering(table, order)).limit(limit), kind)


def complete(order: Order, backwards: bool) -> Order:
    """The order with what decides between equals; the other way round where the list is read backwards."""
    whole = [*order, ("created_at", False), ("id", False)]
    return [(name, last is not backwards) for name, last in whole]


def _visible(ctx: Context, kind: type[Row], everywhere: bool) -> Select[Any]:
    query = select(kinds.of(kind).table)
    return query if everywhere else query.where(kinds.of(kind).visible(ctx))


def _ordering(table: Table, order: Order) -> Iterator[ColumnElement[Any]]:
    """Nothing comes before something, whatever the database thinks."""
    for name, last in order:
        column = table.c[name]
        for term in (column.is_not(None), column) if column.nullable else (column,):
            yield term.desc() if last else term.asc()


def _behind(table: Table, order: Order, row: Any) -> Condition:
    """What comes later than the row: equal in some columns, later in the next one."""
    equal: list[Condition] = []
    found: list[Condition] = []
    for name, last in order:
        column, value = table.c[name], getattr(row, name)
        found.append(and_(*equal, _later(column, value, last)))
        equal.append(column.is_(None) if value is None else column == literal(value, column.type))
    return and_(_not_earlier(table, order, row), or_(*found))


def _later(column: Column[Any], value: Any, last: bool) -> Condition:
    if value is None:
        return false() if last else column.is_not(None)
    known = literal(value, column.type)
    if not last:
        return column > known
    return or_(column < known, column.is_(None)) if column.nullable else column < known


def _not_earlier(table: Table, order: Order, row: Any) -> Condition:
    """What indexes can find of it: follows from the rest."""
    name, last = order[0]
    column = table.c[name]
    if column.nullable:
        return literal(True)
    known = literal(getattr(row, name), column.type)
    return column <= known if last else column >= known


def _is_huge(value: Any) -> bool:
    return isinstance(value, int) and abs(value) > _MOST


def _tagged(table: Table, tags: set[str]) -> list[Condition]:
    text = type_coerce(table.c.tags, Text)
    return [text.contains(orjson.dumps(tag).decode(), autoescape=True) for tag in sorted(tags)]


def _split(values: Sequence[str]) -> set[str]:
    return {tag for value in values for tag in value.split(",") if tag}


def _all_tags(table: Table, values: Sequence[str]) -> list[Condition]:
    return _tagged(table, _split(values))


def _any_tag(table: Table, values: Sequence[str]) -> list[Condition]:
    return [or_(false(), *_tagged(table, _split(values)))]


def _changed(table: Table, values: Sequence[datetime]) -> list[Condition]:
    """Moments are shown without what is below a second."""
    moment = values[0].replace(tzinfo=None)
    return [table.c.updated_at >= moment - timedelta(seconds=1)] if moment > _LONG_AGO else []


def _fixed_ips(table: Table, values: Sequence[str]) -> list[Condition]:
    """Ports with an address like that; words that are none are left to those who refuse them."""
    if not all("=" in value for value in values):
        return []
    wanted: dict[str, list[str]] = {}
    for value in values:
        name, _, text = value.partition("=")
        wanted.setdefault(name, []).append(text)
    found = []
    for name, texts in wanted.items():
        if name in ("subnet_id", "ip_address"):
            found.append(sql.any_of(allocation.c["address" if name == "ip_address" else name], texts))
        elif name == "ip_address_substr":
            found.append(or_(*(allocation.c.address.contains(text, autoescape=True) for text in texts)))
    return [table.c.id.in_(select(allocation.c.port_id).where(each)) for each in found]


def _groups(table: Table, values: Sequence[str]) -> list[Condition]:
    members = select(membership.c.port_id).where(sql.any_of(membership.c.security_group_id, values))
    return [table.c.id.in_(members)]


def _column(name: str) -> Callable[[Table, Sequence[Any]], list[Condition]]:
    return lambda table, values: [sql.any_of(table.c[name], values)]


_GENERAL: dict[str, Callable[[Table, Sequence[Any]], list[Condition]]] = {
    "tags": _all_tags,
    "tags-any": _any_tag,
    "changed_since": _changed,
}
_SPECIAL: dict[tuple[str, str], Callable[[Table, Sequence[Any]], list[Condition]]] = {
    (port.name, "fixed_ips"): _fixed_ips,
    (port.name, "security_groups"): _groups,
    (port.name, "binding:host_id"): _column("host"),
    (network.name, "router:external"): _column("external"),
}
