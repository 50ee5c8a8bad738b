# SPDX-License-Identifier: Apache-2.0
"""What is done to an index beside requests: states of replicas, ranges, tombstones, reports and audits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

import msgspec

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers import index_rules as rules
from cumulet.services.object_store.drivers.local.index_rows import object_row
from cumulet.services.object_store.drivers.local.index_sheets import (
    Numbers,
    Sheet,
    forget,
    keep_metadata,
    load,
    needed,
    save,
    store,
)
from cumulet.services.object_store.types.indexes import (
    Changed,
    ContainerRow,
    Count,
    IndexState,
    Info,
    Key,
    MetadataLimits,
    Placed,
    ShardRange,
)
from cumulet.services.object_store.types.merges import container_digest, merged_range, object_digest

_ROWS = {
    True: "SELECT name, stamp, size, type, etag, gone, policy, type_after, meta_after, shown FROM objects WHERE id = ?",
    False: "SELECT name, put, deleted, objects, bytes, policy, counted, gone FROM containers WHERE id = ?",
}
_range = msgspec.msgpack.Decoder(ShardRange)
_pack = msgspec.msgpack.Encoder().encode


def put(
    connection: sqlite3.Connection,
    numbers: Numbers,
    key: Key,
    stamp: int,
    policy: int | None,
    default: int,
    metadata: Mapping[str, str],
    limits: MetadataLimits | None,
) -> Placed:
    sheet = load(connection, key)
    info, created = rules.opened(sheet.info if sheet else None, key, stamp, policy, default, metadata)
    if metadata:
        rules.check_limits(info.state.metadata, limits)
    _keep(connection, numbers, sheet, info)
    return Placed(created, info.policy)


def delete(connection: sqlite3.Connection, numbers: Numbers, key: Key, stamp: int) -> bool:
    sheet = load(connection, key)
    info, existed = rules.closed(sheet.info if sheet else None, stamp)
    _keep(connection, numbers, sheet, info)
    return existed


def set_metadata(
    connection: sqlite3.Connection,
    numbers: Numbers,
    key: Key,
    stamp: int,
    metadata: Mapping[str, str],
    limits: MetadataLimits | None,
) -> None:
    sheet = load(connection, key)
    info = rules.described(sheet.info if sheet else None, stamp, metadata)
    rules.check_limits(info.state.metadata, limits)
    _keep(connection, numbers, sheet, info)


def merge_state(connection: sqlite3.Connection, numbers: Numbers, key: Key, state: IndexState) -> Info:
    sheet = load(connection, key)
    return _keep(connection, numbers, sheet, rules.taken_over(sheet.info if sheet else None, key, state))


def _keep(connection: sqlite3.Connection, numbers: Numbers, sheet: Sheet | None, info: Info) -> Info:
    return info if sheet is not None and info == sheet.info else store(connection, sheet, info, numbers)


def changed(connection: sqlite3.Connection, since: int, limit: int) -> list[Changed]:
    found = connection.execute(
        "SELECT account, container, change, digest FROM indexes WHERE change > ? ORDER BY change LIMIT ?",
        (since, limit),
    )
    return [Changed(Key(account, container), change, digest) for account, container, change, digest in found]


def owed(connection: sqlite3.Connection, limit: int, after: int) -> list[tuple[int, Key, ContainerRow]]:
    found = connection.execute(
        "SELECT id, account, container FROM indexes WHERE owed AND id > ? ORDER BY id LIMIT ?", (after, limit)
    ).fetchall()
    return [(number, Key(*key), needed(connection, Key(*key)).info.report(0)) for number, *key in found]


def reported(connection: sqlite3.Connection, key: Key, row: ContainerRow) -> None:
    """No change that replicas would have to be told."""
    sheet = needed(connection, key)
    sheet.info = msgspec.structs.replace(sheet.info, reported=msgspec.structs.replace(row, counted=0))
    save(connection, sheet, sheet.info.change)


def drop(connection: sqlite3.Connection, key: Key, change: int) -> bool:
    sheet = load(connection, key, metadata=False)
    if sheet is None:
        return True
    if sheet.info.change != change:
        return False
    forget(connection, sheet)
    return True


def tombstones(connection: sqlite3.Connection, key: Key, before: int, limit: int) -> list[tuple[int, str]]:
    """What can be reclaimed: policies and names. Of an account the policies say nothing."""
    number = needed(connection, key).number
    if not key.container:
        query = "SELECT 0, name FROM containers WHERE id = ? AND gone = 1 AND deleted < ? LIMIT ?"
    else:
        query = "SELECT policy, name FROM objects WHERE id = ? AND gone = 1 AND stamp < ? LIMIT ?"
    return connection.execute(query, (number, before, limit)).fetchall()


def reclaim(
    connection: sqlite3.Connection,
    numbers: Numbers,
    key: Key,
    before: int,
    found: Sequence[tuple[int, str]],
    last: bool,
) -> int:
    """Forget what was `found` if it is still a tombstone; with the `last` of them what else there is to forget."""
    sheet = load(connection, key)
    if sheet is None:
        return 0
    done = 0
    for policy, name in found:
        done += (
            _reclaim_object(connection, sheet, policy, name, before)
            if key.container
            else (_reclaim_container(connection, sheet, name, before))
        )
    if done:
        save(connection, sheet, next(numbers))
    if last:
        _reclaim_rest(connection, sheet, before)
    return done


def _reclaim_object(connection: sqlite3.Connection, sheet: Sheet, policy: int, name: str, before: int) -> int:
    found = connection.execute(
        f"{_ROWS[True]} AND gone = 1 AND policy = ? AND name = ? AND stamp < ?", (sheet.number, policy, name, before)
    ).fetchone()
    if found is None:
        return 0
    sheet.digest ^= object_digest(object_row(found))
    connection.execute(
        "DELETE FROM objects WHERE id = ? AND gone = 1 AND policy = ? AND name = ?", (sheet.number, policy, name)
    )
    return 1


def _reclaim_container(connection: sqlite3.Connection, sheet: Sheet, name: str, before: int) -> int:
    found = connection.execute(
        f"{_ROWS[False]} AND gone = 1 AND name = ? AND deleted < ?", (sheet.number, name, before)
    ).fetchone()
    if found is None:
        return 0
    row = ContainerRow(*found[:-1])
    sheet.counts[row.policy] = sheet.counts.get(row.policy, Count()).less(rules.count_of(row))
    sheet.digest ^= container_digest(row)
    connection.execute("DELETE FROM containers WHERE id = ? AND gone = 1 AND name = ?", (sheet.number, name))
    return 1


def _reclaim_rest(connection: sqlite3.Connection, sheet: Sheet, before: int) -> None:
    state = sheet.info.state
    if rules.forgettable(sheet.info, before):
        forget(connection, sheet)
        return
    kept = {key: each for key, each in state.metadata.items() if each[0] or each[1] >= before}
    if kept != state.metadata:
        keep_metadata(connection, sheet.number, kept)
    own = "/".join(sheet.info.key)
    old = [(sheet.number, each.name) for each in every_range(connection, sheet.number)
           if each.deleted and each.stamp < before and each.name != own]  # fmt: skip
    connection.executemany("DELETE FROM ranges WHERE id = ? AND name = ?", old)


def every_range(connection: sqlite3.Connection, number: int) -> list[ShardRange]:
    found = connection.execute("SELECT body FROM ranges WHERE id = ?", (number,))
    return [_range.decode(body) for (body,) in found]


def merge_ranges(connection: sqlite3.Connection, numbers: Numbers, key: Key, ranges: Sequence[ShardRange]) -> None:
    sheet = needed(connection, key)
    known = {each.name: each for each in every_range(connection, sheet.number)}
    before = dict(known)
    for each in ranges:
        old = known.get(each.name)
        known[each.name] = each if old is None else merged_range(old, each)
    fresh = [each for name, each in known.items() if before.get(name) != each]
    if not fresh:
        return
    connection.executemany(
        "INSERT OR REPLACE INTO ranges (id, name, body) VALUES (?, ?, ?)",
        [(sheet.number, each.name, _pack(each)) for each in fresh],
    )
    usage = rules.usage_of(key, list(known.values()))
    sheet.info = msgspec.structs.replace(sheet.info, usage=usage)
    save(connection, sheet, next(numbers))


def set_sharding(connection: sqlite3.Connection, numbers: Numbers, key: Key, sharding: str) -> None:
    sheet = needed(connection, key)
    if sheet.info.sharding != sharding:
        sheet.info = msgspec.structs.replace(sheet.info, sharding=sharding)
        save(connection, sheet, next(numbers))


Tally = tuple[dict[int, Count], int]


def count_rows(connection: sqlite3.Connection, key: Key) -> tuple[int, Tally, Tally, int]:
    """The index's number, what it says of its rows, what these say, and how many of them lie where they may not."""
    sheet = needed(connection, key)
    counts: dict[int, Count] = {}
    digest = astray = 0
    sum_of: Callable[..., int] = object_digest if key.container else container_digest
    for found in connection.execute(_ROWS[bool(key.container)], (sheet.number,)):
        row = object_row(found) if key.container else ContainerRow(*found[:-1])
        if isinstance(row, ContainerRow):
            astray += row.gone != bool(found[-1])
        counts[row.policy] = counts.get(row.policy, Count()).plus(rules.count_of(row))
        digest ^= sum_of(row)
    return sheet.number, (dict(sheet.info.counts), sheet.digest), (counts, digest), astray


def mend(connection: sqlite3.Connection, numbers: Numbers, key: Key, number: int, said: Tally, true: Tally) -> None:
    """By the difference that an audit found, for rows may have come since."""
    sheet = needed(connection, key)
    if sheet.number != number:
        raise NotFound("The index was made anew since.")
    for policy in said[0].keys() | true[0].keys():
        lacks = true[0].get(policy, Count()).less(said[0].get(policy, Count()))
        sheet.counts[policy] = sheet.counts.get(policy, Count()).plus(lacks)
    sheet.digest ^= said[1] ^ true[1]
    save(connection, sheet, next(numbers))
