# SPDX-License-Identifier: Apache-2.0
"""Work for the ledger of a device: what is written to its table of objects.

Each write keeps the digest of the row's suffix: the XOR of the digests of its rows. The first argument is the ledger's
connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from cumulet.services.object_store.drivers.local.catalogue_rows import (
    ENTRY,
    WAITING,
    Body,
    Row,
    entry_of,
    find,
    open_pending,
    place_of,
)
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.objects import (
    Address,
    Entry,
    Kind,
    Outcome,
    OwedUpdate,
    Update,
    Verdict,
    Version,
)

_PEND = (
    "INSERT INTO pending (policy, partition, suffix, hash, account, container, object, stamp, at, version, file, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT = (
    "INSERT INTO objects (policy, partition, suffix, hash, account, container, object, dead, stamp, delete_at, digest,"
    " version, file, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = "UPDATE objects SET dead = ?, stamp = ?, delete_at = ?, digest = ?, version = ?"
_WEIGH = (
    "INSERT INTO digests VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET value = (value | excluded.value) & ~(value & excluded.value), count = count + excluded.count"
)
_OWE = "INSERT INTO owed (account, container, object, stamp, update_row) VALUES (?, ?, ?, ?, ?)"


class Change(msgspec.Struct, frozen=True):
    """What a write did, and the files that nothing names any more once it is committed."""

    outcome: Outcome
    doomed: tuple[str, ...] = ()


def put(
    say: sqlite3.Connection,
    address: Address,
    version: Version,
    body: Body,
    owed: Sequence[OwedUpdate],
    replica: bool,
) -> Change:
    row = find(say, address)
    before = row.version if row else None
    verdict, now = (objects.written if replica else objects.stored)(before, version)
    taken = verdict is Verdict.DONE and (before is None or not objects.same_body(before, now))
    if taken:
        _store(say, address, row, now, body)
        doomed = row.file if row else None
    else:
        if row is not None and now != before:
            _amend(say, address, row, now)
        doomed = body.file
    ids = _owe(say, owed) if verdict is Verdict.DONE else ()
    return Change(Outcome(verdict, before, now, ids), (doomed,) if doomed else ())


def post(
    say: sqlite3.Connection, address: Address, update: Update, owed: Sequence[OwedUpdate], expired_too: bool
) -> Change:
    row = find(say, address)
    before = row.version if row else None
    verdict, now = objects.posted(before, update, expired_too=expired_too)
    ids: tuple[int, ...] = ()
    if row is not None and now is not None and verdict is Verdict.DONE:
        _amend(say, address, row, now)
        ids = _owe(say, owed)
    return Change(Outcome(verdict, before, now, ids))


def delete(
    say: sqlite3.Connection, address: Address, stamp: int, owed: Sequence[OwedUpdate], if_delete_at: int | None
) -> Change:
    row = find(say, address)
    before = row.version if row else None
    verdict, now = objects.deleted(before, stamp, if_delete_at)
    if now is None or now == before:
        return Change(Outcome(verdict, before, now))
    _store(say, address, row, now, Body())
    return Change(Outcome(verdict, before, now, _owe(say, owed)), (row.file,) if row and row.file else ())


def settle(say: sqlite3.Connection, address: Address, version: Version) -> Change:
    row = find(say, address)
    before = row.version if row else None
    verdict, now = objects.written(before, version)
    if now == before:
        return Change(Outcome(verdict, before, now))
    if row is not None and objects.same_body(row.version, now):
        _amend(say, address, row, now)
        return Change(Outcome(verdict, before, now))
    if now.kind is Kind.DATA:
        return Change(Outcome(Verdict.MISSING, before, before))
    _store(say, address, row, now, Body())
    return Change(Outcome(verdict, before, now), (row.file,) if row and row.file else ())


def pend(say: sqlite3.Connection, address: Address, version: Version, body: Body) -> Change:
    row = find(say, address)
    before = row.version if row else None
    found = open_pending(say, address, version.stamp)
    verdict = objects.pended(before, found.version if found else None, version)
    if verdict is Verdict.DONE:
        names = (address.account, address.container, address.object)
        columns = (version.stamp, stamps.now(), objects.encode(version), body.file, body.inline)
        say.execute(_PEND, (*place_of(address), *names, *columns))
        return Change(Outcome(verdict, before, before))
    return Change(Outcome(verdict, before, before), (body.file,) if body.file else ())


def confirm(say: sqlite3.Connection, address: Address, stamp: int, owed: Sequence[OwedUpdate]) -> Change:
    found = open_pending(say, address, stamp)
    if found is None:
        row = find(say, address)
        before = row.version if row else None
        return Change(Outcome(objects.unpended(before, stamp), before, before))
    say.execute(f"DELETE FROM pending WHERE {WAITING}", (*place_of(address), stamp))  # noqa: S608 (constants)
    return put(say, address, found.version, found.body, owed, replica=True)


def withdraw(say: sqlite3.Connection, address: Address, stamp: int) -> Change | None:
    """None where nothing of that stamp is pending."""
    found = open_pending(say, address, stamp)
    if found is None:
        return None
    say.execute(f"DELETE FROM pending WHERE {WAITING}", (*place_of(address), stamp))  # noqa: S608 (constants)
    return Change(Outcome(Verdict.DONE, None, None), (found.body.file,) if found.body.file else ())


def remove(say: sqlite3.Connection, entry: Entry) -> Change | None:
    """None where the entry is not what is there."""
    row = find(say, entry.address)
    if row is None or row.version != entry.version:
        return None
    _drop(say, entry.address, row)
    return Change(Outcome(Verdict.DONE, row.version, None), (row.file,) if row.file else ())


def quarantine(say: sqlite3.Connection, entry: Entry, reason: str, at: int) -> bool:
    """False where the entry is not what is there. Its file keeps its name, and is the quarantine's from now on."""
    row = find(say, entry.address)
    if row is None or row.version != entry.version:
        return False
    say.execute(
        "INSERT INTO quarantine (at, reason, entry, file, body) SELECT ?, ?, ?, file, body FROM objects WHERE id = ?",
        (at, reason, msgspec.msgpack.encode(entry), row.id),
    )
    _drop(say, entry.address, row)
    return True


def reclaim(say: sqlite3.Connection, before: int, limit: int) -> tuple[int, tuple[str, ...]]:
    """How many went, and their files."""
    query = f"SELECT id, digest, {ENTRY} FROM objects WHERE dead = 1 AND stamp < ? ORDER BY stamp LIMIT ?"  # noqa: S608 (constants)
    dead = say.execute(query, (before, limit)).fetchall()
    for id_, sum_, *columns in dead:
        entry = entry_of(columns)
        _drop(say, entry.address, Row(id_, sum_, entry.version, None))
    aside = say.execute("SELECT id, file FROM quarantine WHERE at < ? LIMIT ?", (before, limit - len(dead))).fetchall()
    say.executemany("DELETE FROM quarantine WHERE id = ?", [(id_,) for id_, _ in aside])
    return len(dead) + len(aside), tuple(file for _, file in aside if file)


def pay(say: sqlite3.Connection, ids: Sequence[int]) -> None:
    say.executemany("DELETE FROM owed WHERE id = ?", [(id_,) for id_ in ids])


def _store(say: sqlite3.Connection, address: Address, row: Row | None, now: Version, body: Body) -> None:
    """Write the row with another body."""
    sum_ = objects.digest(address.hash, now)
    values = (now.kind is Kind.TOMBSTONE, now.stamp, now.delete_at, sum_, objects.encode(now))
    if row is None:
        names = (address.account, address.container, address.object)
        say.execute(_INSERT, (*place_of(address), *names, *values, body.file, body.inline))
    else:
        say.execute(f"{_UPDATE}, file = ?, body = ? WHERE id = ?", (*values, body.file, body.inline, row.id))
    _weigh(say, address, sum_, row)


def _amend(say: sqlite3.Connection, address: Address, row: Row, now: Version) -> None:
    """Write the row, its body being what it was."""
    sum_ = objects.digest(address.hash, now)
    values = (now.kind is Kind.TOMBSTONE, now.stamp, now.delete_at, sum_, objects.encode(now))
    say.execute(f"{_UPDATE} WHERE id = ?", (*values, row.id))
    _weigh(say, address, sum_, row)


def _weigh(say: sqlite3.Connection, address: Address, sum_: int, row: Row | None) -> None:
    change = (sum_ ^ row.digest, 0) if row else (sum_, 1)
    say.execute(_WEIGH, (address.policy, address.partition, address.suffix, *change))


def _drop(say: sqlite3.Connection, address: Address, row: Row) -> None:
    say.execute("DELETE FROM objects WHERE id = ?", (row.id,))
    place = (address.policy, address.partition, address.suffix)
    say.execute(_WEIGH, (*place, row.digest, -1))
    say.execute("DELETE FROM digests WHERE policy = ? AND partition = ? AND suffix = ? AND count = 0", place)


def _owe(say: sqlite3.Connection, updates: Sequence[OwedUpdate]) -> tuple[int, ...]:
    done = [say.execute(_OWE, (each.account, each.container, each.object, each.stamp, each.row)) for each in updates]
    return tuple(each.lastrowid or 0 for each in done)
