# SPDX-License-Identifier: Apache-2.0
"""Rows of indexes as they are merged and read back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from cumulet.services.object_store.drivers.index_rules import count_of
from cumulet.services.object_store.drivers.local.index_sheets import Numbers, Sheet, needed, save
from cumulet.services.object_store.types.indexes import ContainerRow, Count, Key, ObjectRow, Peer
from cumulet.services.object_store.types.merges import (
    container_digest,
    merged_container,
    merged_object,
    normal_object,
    object_digest,
)

OBJECT = "name, stamp, size, type, etag, gone, policy, type_after, meta_after, shown"
_CONTAINER = "name, put, deleted, objects, bytes, policy, counted"
_CHUNK = 400  # names in one question
_NONE = Count()


def object_row(found: Sequence[Any]) -> ObjectRow:
    name, stamp, size, content_type, etag, gone, policy, type_after, meta_after, shown = found
    kind = stamp + type_after
    return ObjectRow(name, stamp, size, content_type, etag, bool(gone), policy, kind, kind + meta_after, shown)


def put_objects(
    connection: sqlite3.Connection, numbers: Numbers, sheet: Sheet, groups: Sequence[Sequence[ObjectRow]]
) -> list[int]:
    """Merge groups one after the other; how many rows of each were news."""
    wanted = [[normal_object(row) for row in group] for group in groups]
    known = _known_objects(connection, sheet.number, [row for group in wanted for row in group])
    fresh: dict[tuple[int, str], ObjectRow] = {}
    news = []
    for group in wanted:
        changed = set()
        for row in group:
            place = (row.policy, row.name)
            old = fresh.get(place) or known.get(place)
            new = row if old is None else merged_object(old, row)
            if new != old:
                fresh[place] = new
                changed.add(place)
        news.append(len(changed))
    if fresh:
        _write_objects(connection, numbers, sheet, known, fresh)
    return news


def _write_objects(
    connection: sqlite3.Connection,
    numbers: Numbers,
    sheet: Sheet,
    known: dict[tuple[int, str], ObjectRow],
    fresh: dict[tuple[int, str], ObjectRow],
) -> None:
    moved, digest, counts, change = [], sheet.digest, sheet.counts, 0
    values = []
    for place, row in fresh.items():
        change = next(numbers)
        had = _NONE
        old = known.get(place)
        if old is not None:
            digest ^= object_digest(old)
            had = count_of(old)
            if old.deleted != row.deleted:
                moved.append((sheet.number, int(old.deleted), *place))
        digest ^= object_digest(row)
        has, count = count_of(row), counts.get(row.policy, _NONE)
        counts[row.policy] = Count(0, count.objects + has.objects - had.objects, count.bytes + has.bytes - had.bytes)
        values.append(
            (
                sheet.number,
                int(row.deleted),
                row.policy,
                row.name,
                row.stamp,
                row.size,
                row.etag,
                row.content_type,
                row.type_stamp - row.stamp,
                row.meta_stamp - row.type_stamp,
                row.shown,
                change,
            )
        )
    if moved:
        connection.executemany("DELETE FROM objects WHERE id = ? AND gone = ? AND policy = ? AND name = ?", moved)
    connection.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    sheet.digest = digest
    save(connection, sheet, change)


def _known_objects(
    connection: sqlite3.Connection, number: int, rows: Sequence[ObjectRow]
) -> dict[tuple[int, str], ObjectRow]:
    by_policy: dict[int, list[str]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, []).append(row.name)
    known: dict[tuple[int, str], ObjectRow] = {}
    for policy, names in by_policy.items():
        for some in _chunks(names):
            for found in connection.execute(
                f"SELECT {OBJECT} FROM objects WHERE id = ? AND gone IN (0, 1) AND policy = ?"  # noqa: S608
                f" AND name IN ({_marks(some)})",
                (number, policy, *some),
            ):
                known[policy, found[0]] = object_row(found)
    return known


def merge_containers(
    connection: sqlite3.Connection,
    numbers: Numbers,
    key: Key,
    rows: Sequence[ContainerRow],
    source: Peer | None = None,
    point: int = 0,
) -> int:
    sheet = needed(connection, key, metadata=False)
    news = _put_containers(connection, numbers, sheet, rows)
    if source is not None:
        set_point(connection, sheet.number, source, point)
    return news


def _put_containers(
    connection: sqlite3.Connection, numbers: Numbers, sheet: Sheet, rows: Sequence[ContainerRow]
) -> int:
    known: dict[str, ContainerRow] = {}
    for some in _chunks([row.name for row in rows]):
        for found in connection.execute(
            f"SELECT {_CONTAINER} FROM containers WHERE id = ? AND gone IN (0, 1) AND name IN ({_marks(some)})",  # noqa: S608
            (sheet.number, *some),
        ):
            known[found[0]] = ContainerRow(*found)
    fresh: dict[str, ContainerRow] = {}
    for row in rows:
        old = fresh.get(row.name) or known.get(row.name)
        new = row if old is None else merged_container(old, row)
        if new != old:
            fresh[row.name] = new
    if not fresh:
        return 0
    change, values, moved, counts = 0, [], [], sheet.counts
    for name, row in fresh.items():
        change = next(numbers)
        old = known.get(name)
        if old is not None:
            sheet.digest ^= container_digest(old)
            had = count_of(old)
            counts[old.policy] = counts.get(old.policy, _NONE).less(had)
            if old.gone != row.gone:
                moved.append((sheet.number, int(old.gone), name))
        sheet.digest ^= container_digest(row)
        counts[row.policy] = counts.get(row.policy, _NONE).plus(count_of(row))
        values.append(
            (
                sheet.number,
                int(row.gone),
                name,
                row.put,
                row.deleted,
                row.objects,
                row.bytes,
                row.policy,
                row.counted,
                change,
            )
        )
    connection.executemany("DELETE FROM containers WHERE id = ? AND gone = ? AND name = ?", moved)
    connection.executemany("INSERT OR REPLACE INTO containers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    save(connection, sheet, change)
    return len(fresh)


def changed_objects(
    connection: sqlite3.Connection, key: Key, since: int, limit: int, misplaced: bool
) -> list[tuple[int, ObjectRow]]:
    sheet = needed(connection, key)
    own = sheet.info.policy if misplaced else -1
    if misplaced and set(sheet.counts) <= {own}:
        return []
    found = connection.execute(
        f"SELECT change, {OBJECT} FROM objects WHERE id = ? AND change > ? AND policy <> ?"  # noqa: S608
        " ORDER BY change LIMIT ?",
        (sheet.number, since, own, limit),
    )
    return [(row[0], object_row(row[1:])) for row in found]


def changed_containers(
    connection: sqlite3.Connection, key: Key, since: int, limit: int
) -> list[tuple[int, ContainerRow]]:
    found = connection.execute(
        f"SELECT change, {_CONTAINER} FROM containers WHERE id = ? AND change > ? ORDER BY change LIMIT ?",  # noqa: S608
        (needed(connection, key).number, since, limit),
    )
    return [(row[0], ContainerRow(*row[1:])) for row in found]


def remove_rows(connection: sqlite3.Connection, numbers: Numbers, key: Key, rows: Sequence[ObjectRow]) -> int:
    sheet = needed(connection, key)
    known = _known_objects(connection, sheet.number, rows)
    same = {place: row for row in rows if known.get(place := (row.policy, row.name)) == row}
    _remove_objects(connection, numbers, sheet, list(same.values()))
    return len(same)


def _remove_objects(connection: sqlite3.Connection, numbers: Numbers, sheet: Sheet, rows: Sequence[ObjectRow]) -> None:
    for row in rows:
        sheet.digest ^= object_digest(row)
        sheet.counts[row.policy] = sheet.counts.get(row.policy, _NONE).less(count_of(row))
    connection.executemany(
        "DELETE FROM objects WHERE id = ? AND gone = ? AND policy = ? AND name = ?",
        [(sheet.number, int(row.deleted), row.policy, row.name) for row in rows],
    )
    if rows:
        save(connection, sheet, next(numbers))


def set_point(connection: sqlite3.Connection, number: int, peer: Peer, point: int) -> None:
    if point < 0:
        connection.execute("DELETE FROM syncs WHERE id = ? AND peer = ? AND incoming = ?", (number, *peer))
        return
    connection.execute(
        "INSERT INTO syncs (id, peer, incoming, point) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET point = max(point, excluded.point)",
        (number, *peer, point),
    )


def sync_points(connection: sqlite3.Connection, key: Key) -> dict[Peer, int]:
    found = connection.execute(
        "SELECT peer, incoming, point FROM syncs WHERE id = ?", (needed(connection, key).number,)
    )
    return {Peer(peer, bool(incoming)): point for peer, incoming, point in found}


def _chunks(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))


def _marks(names: list[str]) -> str:
    return ",".join("?" * len(names))
