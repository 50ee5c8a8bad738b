# SPDX-License-Identifier: Apache-2.0
"""Listings out of clustered rows. What lies in a subdir is not read: its end is sought."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers.index_folding import Folding, Span
from cumulet.services.object_store.drivers.local.index_rows import OBJECT, object_row
from cumulet.services.object_store.drivers.local.index_sheets import needed
from cumulet.services.object_store.types.indexes import (
    FoundRange,
    Info,
    Key,
    Listed,
    ListedContainer,
    Listing,
    ObjectRow,
)

_OBJECTS = (
    "SELECT name, stamp + type_after + meta_after, iif(shown < 0, size, shown), type, etag FROM objects"
    " WHERE id = ? AND gone = ? AND policy = ?"
)
_ROWS = f"SELECT {OBJECT} FROM objects WHERE id = ? AND gone = ? AND policy = ?"  # noqa: S608
_CONTAINERS = "SELECT name, objects, bytes, put, policy FROM containers WHERE id = ? AND gone = ?"
_NAMES = "SELECT name FROM objects WHERE id = ? AND gone = 0 AND policy = ?"
_SUBDIR = (0, 0, None, "")
_CONTAINER_SUBDIR = (0, 0, 0, -1)

Cluster = tuple[int, ...]


def list_objects(connection: sqlite3.Connection, key: Key, listing: Listing) -> tuple[Info, list[Listed]]:
    sheet = needed(connection, key)
    info = sheet.info
    _be_there(info)
    policy = info.policy if listing.policy is None else listing.policy
    policies = sorted(info.counts) if policy == -1 else [policy]
    clusters = [(sheet.number, int(listing.gone), each) for each in policies]
    return info, _listed(connection, _OBJECTS, clusters, listing, _SUBDIR)


def list_containers(connection: sqlite3.Connection, key: Key, listing: Listing) -> tuple[Info, list[ListedContainer]]:
    sheet = needed(connection, key)
    _be_there(sheet.info)
    clusters = [(sheet.number, int(listing.gone))]
    wanted = msgspec.structs.replace(listing, path=None)
    return sheet.info, _listed(connection, _CONTAINERS, clusters, wanted, _CONTAINER_SUBDIR)


def _be_there(info: Info) -> None:
    if not info.exists:
        raise NotFound("There is no such index.")


def named_rows(
    connection: sqlite3.Connection, key: Key, lower: str, upper: str, limit: int, reverse: bool
) -> tuple[Info, list[ObjectRow]]:
    sheet = needed(connection, key)
    clusters = [(sheet.number, gone, policy) for policy in sorted(sheet.counts) for gone in (0, 1)]
    rows: list[ObjectRow] = []
    for found in _rows(connection, _ROWS, clusters, Span(lower, True, upper), reverse):
        if len(rows) >= limit and rows[-1].name != found[0]:
            break
        rows.append(object_row(found))
    return sheet.info, rows


def _listed(
    connection: sqlite3.Connection, select: str, clusters: Sequence[Cluster], listing: Listing, subdir: tuple[Any, ...]
) -> list[Any]:
    folding = Folding(listing)
    if folding.delimiter:
        return _folded(connection, select, clusters, folding, subdir)
    if len(clusters) == 1:
        query, values = _query(select, clusters[0], folding.span, listing.reverse)
        return connection.execute(f"{query} LIMIT ?", (*values, listing.limit)).fetchall()
    return list(islice(_rows(connection, select, clusters, folding.span, listing.reverse), listing.limit))


def _query(select: str, cluster: Cluster, span: Span, reverse: bool) -> tuple[str, tuple[Any, ...]]:
    lower = "name >= ?" if span.closed else "name > ?"
    upper, ends = (" AND name < ?", (span.upper,)) if span.upper else ("", ())
    order = " DESC" if reverse else ""
    return f"{select} AND {lower}{upper} ORDER BY name{order}", (*cluster, span.lower, *ends)


def _rows(
    connection: sqlite3.Connection, select: str, clusters: Sequence[Cluster], span: Span, reverse: bool
) -> Iterator[Any]:
    """In the order of names, read as they are asked for; those of one name in the order of `clusters`."""
    cursors = [connection.execute(*_query(select, cluster, span, reverse)) for cluster in clusters]
    if len(cursors) == 1:
        return cursors[0]
    return heapq.merge(*cursors, key=lambda row: row[0], reverse=reverse)


def _folded(
    connection: sqlite3.Connection,
    select: str,
    clusters: Sequence[Cluster],
    folding: Folding,
    subdir: tuple[Any, ...],
) -> list[Any]:
    listed: list[Any] = []
    span, limit, reverse = folding.span, folding.listing.limit, folding.listing.reverse
    while len(listed) < limit:
        for row in _rows(connection, select, clusters, span, reverse):
            folder = folding.folder(row[0])
            if folder is not None:
                break
            if row[0] != folding.itself:
                listed.append(row)
                if len(listed) == limit:
                    break
        else:
            break
        if folder is None:
            break
        if folding.shows(folder):
            listed.append((folder, *subdir))
        beyond = folding.beyond(folder, span)
        if beyond is None:
            break
        span = beyond
    return listed


def find_ranges(
    connection: sqlite3.Connection, key: Key, size: int, lower: str, upper: str, limit: int, minimum: int
) -> tuple[list[FoundRange], bool]:
    sheet = needed(connection, key)
    minimum = max(minimum, 1)
    if size + minimum > sum(count.objects for count in sheet.counts.values()):
        return [], False
    if lower and upper and lower >= upper:
        return [], True
    span = Span(f"{lower}\0" if lower else "", True, f"{upper}\0" if upper else "")
    clusters = [(sheet.number, policy) for policy in sorted(sheet.counts)]
    left = 0
    for cluster in clusters:
        query, values = _query(_NAMES, cluster, span, False)
        left += connection.execute(f"SELECT count(*) FROM ({query})", values).fetchone()[0]  # noqa: S608
    names = _rows(connection, _NAMES, clusters, span, False)
    found: list[FoundRange] = []
    while limit < 0 or len(found) < limit:
        bound = next(islice(names, size - 1, size), None) if left >= size + minimum else None
        if bound is None or bound[0] == upper:
            found.append(FoundRange(lower, upper, left))
            return found, True
        found.append(FoundRange(lower, bound[0], size))
        lower, left = bound[0], left - size
    return found, False
