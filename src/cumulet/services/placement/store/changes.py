# SPDX-License-Identifier: Apache-2.0
"""What has changed since a moment, and all that a search looks at of the providers that have.

Triggers note each provider that something is written of (`migrations/0010_expand_changes.*.sql`), in the transaction
that writes. A moment says which of those transactions a snapshot sees, in whatever order they were committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Select, Text, bindparam, column, delete, func, or_, select, table, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.placement.tables import (
    allocation,
    change,
    inventory,
    provider,
    provider_aggregate,
    provider_trait,
)

_BETWEEN = "|"
_COMMA = ","
_VIEW = table("placement_moment", column("moment", Text))
_MOMENT = select(_VIEW.c.moment)


class Moment(msgspec.Struct, frozen=True):
    """What a snapshot saw: the transactions numbered below `end`, save those `running`.

    `server` tells one life of the database server from the next: numbers are of one life.
    """

    text: str
    server: str
    end: int
    running: tuple[int, ...]

    def precedes(self, other: Moment) -> bool:
        """Whether `other` may be told as what has changed since."""
        return self.server == other.server and self.end <= other.end


class Row(msgspec.Struct, frozen=True):
    """A provider with its parts: inventories as (class, total, reserved, ratio, least, most, step), in order."""

    provider: tuple[str, str, str | None, str]
    stock: list[tuple[str, int, int, float, int, int, int]]
    used: dict[str, int]
    traits: frozenset[str]
    aggregates: frozenset[str]


def moment(source: Source) -> Moment:
    return _parse(sql.quick(source, _MOMENT))


def since(source: Source, then: Moment) -> tuple[Moment, list[str]]:
    """The moment now, and the providers of which something was written since `then`, gone ones among them."""
    if sql.quick(source, _MOMENT) == then.text:
        return then, []
    if then.running:
        found = sql.tuples(source, _SINCE_RUNNING, {"end": then.end, "running": then.running})
    else:
        found = sql.tuples(source, _SINCE, {"end": then.end})
    return _parse(found[0][0]), [uuid for _, uuid in found if uuid is not None]


def foreign(source: Source) -> list[tuple[str, int]]:
    """Notes of numbers that are not given yet, with the number: they came with a backup of another server."""
    found = sql.tuples(source, _NUMBERED, {"end": moment(source).end})
    end = _parse(found[0][0]).end
    return [(uuid, number) for _, uuid, number in found if uuid is not None and number >= end]


def settle(tx: Tx, uuid: str, number: int) -> None:
    """Give a foreign note a number that everybody has seen."""
    sql.execute(tx, update(change).where(change.c.provider_uuid == uuid, change.c.number == number).values(number=0))


def last(source: Source) -> int:
    """The greatest number of a note."""
    return int(sql.scalar(source, select(func.coalesce(func.max(change.c.number), 0))))


def forget_removed(tx: Tx, before: int) -> int:
    """Remove the notes on providers that are gone, of numbers below `before`; how many that were."""
    gone = change.c.provider_uuid.not_in(select(provider.c.uuid))
    return sql.execute(tx, delete(change).where(change.c.number < before, gone))


def some(source: Source, uuids: Sequence[str]) -> list[Row]:
    """Those of `uuids` that exist."""
    return _rows(source, _SOME, {"uuids": uuids})


def page(source: Source, after: str, count: int) -> list[Row]:
    """The next `count` providers by uuid."""
    query = select(provider.c.uuid).where(provider.c.uuid > after).order_by(provider.c.uuid).limit(count)
    uuids = sql.column(source, query)
    return _rows(source, _PAGE, {"first": uuids[0], "last": uuids[-1]}) if uuids else []


class _Queries(msgspec.Struct, frozen=True):
    """What is asked of some providers, made once: to make a statement costs more than to run it on few."""

    own: Select[Any]
    stock: Select[Any]
    used: Select[Any]
    traits: Select[Any]
    aggregates: Select[Any]


def _rows(source: Source, queries: _Queries, values: dict[str, Any]) -> list[Row]:
    def ask(query: Select[Any]) -> Sequence[Any]:
        return sql.tuples(source, query, values)

    none: frozenset[str] = frozenset()
    traits, aggregates = _sets(ask(queries.traits)), _sets(ask(queries.aggregates))
    found = {
        each[0]: Row(tuple(each), [], {}, traits.get(each[0], none), aggregates.get(each[0], none))
        for each in ask(queries.own)
    }
    for uuid, *stock in ask(queries.stock):
        if uuid in found:
            found[uuid].stock.append(tuple(stock))
    for uuid, name, used in ask(queries.used):
        if uuid in found:
            found[uuid].used[name] = int(used)
    return list(found.values())


def _sets(rows: Sequence[Any]) -> dict[str, frozenset[str]]:
    """The names of each provider, which hold no comma; many have the same ones."""
    known: dict[str, frozenset[str]] = {}
    return {uuid: known.get(names) or known.setdefault(names, frozenset(names.split(_COMMA))) for uuid, names in rows}


def _parse(text: str) -> Moment:
    server, end, running = text.split(_BETWEEN)
    return Moment(text, server, int(end), tuple(int(number) for number in running.split(_COMMA) if number))


def _beside(*columns: Any, further: Any = None) -> Select[Any]:
    """One statement, hence one snapshot: the moment beside each note that is not seen, or beside none."""
    unseen = change.c.number >= bindparam("end", type_=BigInteger)
    unseen = unseen if further is None else or_(unseen, further)
    return select(_VIEW.c.moment, *columns).select_from(_VIEW.outerjoin(change, unseen))


def _queries(within: Callable[[Any], Any]) -> _Queries:
    key = inventory.c.provider_uuid
    stock = (
        inventory.c.resource_class, inventory.c.total, inventory.c.reserved, inventory.c.allocation_ratio,
        inventory.c.min_unit, inventory.c.max_unit, inventory.c.step_size,
    )  # fmt: skip
    pair = (allocation.c.provider_uuid, allocation.c.resource_class)
    own = (provider.c.uuid, provider.c.name, provider.c.parent_uuid, provider.c.root_uuid)
    return _Queries(
        own=select(*own).where(within(provider.c.uuid)),
        stock=select(key, *stock).where(within(key)).order_by(key, inventory.c.resource_class),
        used=select(*pair, func.sum(allocation.c.used)).where(within(allocation.c.provider_uuid)).group_by(*pair),
        traits=_together(provider_trait.c.provider_uuid, provider_trait.c.trait, within),
        aggregates=_together(provider_aggregate.c.provider_uuid, provider_aggregate.c.aggregate_uuid, within),
    )


def _together(key: Any, name: Any, within: Callable[[Any], Any]) -> Select[Any]:
    return select(key, func.aggregate_strings(name, _COMMA)).where(within(key)).group_by(key)


_SINCE = _beside(change.c.provider_uuid)
_RUNNING = change.c.number.in_(bindparam("running", expanding=True))
_SINCE_RUNNING = _beside(change.c.provider_uuid, further=_RUNNING)
_NUMBERED = _beside(change.c.provider_uuid, change.c.number)
_SOME = _queries(lambda key: key.in_(bindparam("uuids", expanding=True)))
_PAGE = _queries(lambda key: key.between(bindparam("first"), bindparam("last")))
