# SPDX-License-Identifier: Apache-2.0
"""The table of objects of a device: work for its ledger (writes), and what is read of it.

A row is what is known of an object. Its body lies in the row, or in a file that the row names; a file that no row names
is not there. Each write keeps the digest of the row's suffix: the XOR of the digests of its rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.drivers.base import Digest, Quarantined
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.objects import (
    Address,
    Entry,
    Fragment,
    Kind,
    Outcome,
    OwedUpdate,
    Update,
    Verdict,
    Version,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY,
    policy INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    suffix INTEGER NOT NULL,
    hash BLOB NOT NULL,
    account TEXT NOT NULL,
    container TEXT NOT NULL,
    object TEXT NOT NULL,
    dead INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    delete_at INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    version BLOB NOT NULL,
    file TEXT,
    body BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS objects_place ON objects (policy, partition, suffix, hash);
CREATE INDEX IF NOT EXISTS objects_fragments ON objects (hash) WHERE suffix >= 4096;
CREATE INDEX IF NOT EXISTS objects_expiry ON objects (delete_at, hash) WHERE delete_at > 0 AND dead = 0;
CREATE INDEX IF NOT EXISTS objects_dead ON objects (stamp) WHERE dead = 1;
CREATE TABLE IF NOT EXISTS pending (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    policy INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    suffix INTEGER NOT NULL,
    hash BLOB NOT NULL,
    account TEXT NOT NULL,
    container TEXT NOT NULL,
    object TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    at INTEGER NOT NULL,
    version BLOB NOT NULL,
    file TEXT,
    body BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS pending_place ON pending (hash, policy, partition, suffix, stamp);
CREATE TABLE IF NOT EXISTS digests (
    policy INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    suffix INTEGER NOT NULL,
    value INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (policy, partition, suffix)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owed_updates (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    container TEXT NOT NULL,
    object TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    update_row BLOB NOT NULL,
    UNIQUE (account, container, object)
);
CREATE TABLE IF NOT EXISTS quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    entry BLOB NOT NULL,
    file TEXT,
    body BLOB
);
CREATE INDEX IF NOT EXISTS quarantine_file ON quarantine (file) WHERE file IS NOT NULL;
"""

_PLACE = "policy = ? AND partition = ? AND suffix = ? AND hash = ?"
_ENTRY = "policy, partition, suffix, hash, account, container, object, version"
_FIND = f"SELECT id, account, container, object, digest, version, file FROM objects WHERE {_PLACE}"  # noqa: S608 (constants)
_OPEN = f"SELECT account, container, object, version, file, body FROM objects WHERE {_PLACE}"  # noqa: S608 (constants)
_WAITING = f"{_PLACE} AND stamp = ?"
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
_OWE = (
    "INSERT OR REPLACE INTO owed_updates (account, container, object, stamp, update_row)"
    " SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM owed_updates"
    " WHERE account = ?1 AND container = ?2 AND object = ?3 AND stamp > ?4)"
)


class Body(msgspec.Struct, frozen=True):
    """Where a body is: in a file of that name, or here."""

    file: str | None = None
    inline: bytes | None = None


class Change(msgspec.Struct, frozen=True):
    """What a write did, and the files that nothing names any more once it is committed."""

    outcome: Outcome
    doomed: tuple[str, ...] = ()


class Found(msgspec.Struct, frozen=True):
    """A row that was opened for reading."""

    version: Version
    body: Body


class _Row(msgspec.Struct, frozen=True):
    id: int
    digest: int
    version: Version
    file: str | None


# Writes: the first argument is the ledger's connection.


def put(
    say: sqlite3.Connection,
    address: Address,
    version: Version,
    body: Body,
    owed: Sequence[OwedUpdate],
    replica: bool,
) -> Change:
    row = _find(say, address)
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
    row = _find(say, address)
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
    row = _find(say, address)
    before = row.version if row else None
    verdict, now = objects.deleted(before, stamp, if_delete_at)
    if now is None or now == before:
        return Change(Outcome(verdict, before, now))
    _store(say, address, row, now, Body())
    return Change(Outcome(verdict, before, now, _owe(say, owed)), (row.file,) if row and row.file else ())


def settle(say: sqlite3.Connection, address: Address, version: Version) -> Change:
    row = _find(say, address)
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
    row = _find(say, address)
    before = row.version if row else None
    found = open_pending(say, address, version.stamp)
    verdict = objects.pended(before, found.version if found else None, version)
    if verdict is Verdict.DONE:
        names = (address.account, address.container, address.object)
        columns = (version.stamp, stamps.now(), objects.encode(version), body.file, body.inline)
        say.execute(_PEND, (*_place(address), *names, *columns))
        return Change(Outcome(verdict, before, before))
    return Change(Outcome(verdict, before, before), (body.file,) if body.file else ())


def confirm(say: sqlite3.Connection, address: Address, stamp: int, owed: Sequence[OwedUpdate]) -> Change:
    found = open_pending(say, address, stamp)
    if found is None:
        row = _find(say, address)
        before = row.version if row else None
        return Change(Outcome(objects.unpended(before, stamp), before, before))
    say.execute(f"DELETE FROM pending WHERE {_WAITING}", (*_place(address), stamp))  # noqa: S608 (constants)
    return put(say, address, found.version, found.body, owed, replica=True)


def withdraw(say: sqlite3.Connection, address: Address, stamp: int) -> Change | None:
    """None where nothing of that stamp is pending."""
    found = open_pending(say, address, stamp)
    if found is None:
        return None
    say.execute(f"DELETE FROM pending WHERE {_WAITING}", (*_place(address), stamp))  # noqa: S608 (constants)
    return Change(Outcome(Verdict.DONE, None, None), (found.body.file,) if found.body.file else ())


def remove(say: sqlite3.Connection, entry: Entry) -> Change | None:
    """None where the entry is not what is there."""
    row = _find(say, entry.address)
    if row is None or row.version != entry.version:
        return None
    _drop(say, entry.address, row)
    return Change(Outcome(Verdict.DONE, row.version, None), (row.file,) if row.file else ())


def quarantine(say: sqlite3.Connection, entry: Entry, reason: str, at: int) -> bool:
    """False where the entry is not what is there. Its file keeps its name, and is the quarantine's from now on."""
    row = _find(say, entry.address)
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
    query = f"SELECT id, digest, {_ENTRY} FROM objects WHERE dead = 1 AND stamp < ? ORDER BY stamp LIMIT ?"  # noqa: S608 (constants)
    dead = say.execute(query, (before, limit)).fetchall()
    for id_, sum_, *columns in dead:
        entry = _entry(columns)
        _drop(say, entry.address, _Row(id_, sum_, entry.version, None))
    aside = say.execute("SELECT id, file FROM quarantine WHERE at < ? LIMIT ?", (before, limit - len(dead))).fetchall()
    say.executemany("DELETE FROM quarantine WHERE id = ?", [(id_,) for id_, _ in aside])
    return len(dead) + len(aside), tuple(file for _, file in aside if file)


def pay(say: sqlite3.Connection, ids: Sequence[int]) -> None:
    say.executemany("DELETE FROM owed_updates WHERE id = ?", [(id_,) for id_ in ids])


# Reads.


def version_of(say: sqlite3.Connection, address: Address) -> Version | None:
    row = _find(say, address)
    return row.version if row else None


def open_row(say: sqlite3.Connection, address: Address, stamp: int = 0) -> Found | None:
    """With a `stamp` what is there of that, or pending."""
    row = _opened(say.execute(_OPEN, _place(address)), address)
    if not stamp or (row is not None and row.version.stamp == stamp):
        return row
    waiting = open_pending(say, address, stamp)
    if waiting is None:  # or confirmed since
        row = _opened(say.execute(_OPEN, _place(address)), address)
        return row if row is not None and row.version.stamp == stamp else None
    return waiting


def open_pending(say: sqlite3.Connection, address: Address, stamp: int) -> Found | None:
    query = f"SELECT account, container, object, version, file, body FROM pending WHERE {_WAITING}"  # noqa: S608 (constants)
    return _opened(say.execute(query, (*_place(address), stamp)), address)


def fragments(say: sqlite3.Connection, address: Address) -> list[Fragment]:
    where = "hash = ? AND suffix >= 4096 AND policy = ? AND partition = ?"
    place = (bytes.fromhex(address.hash), address.policy, address.partition)
    # Pending ones first: what is confirmed in between is told twice, and not missed.
    query = f"SELECT at, id, {_ENTRY} FROM pending WHERE {where}"  # noqa: S608 (constants)
    waiting = [Fragment(_entry(row[2:]), row[0], row[1]) for row in say.execute(query, place)]
    # Else the planner walks through the partition.
    query = f"SELECT {_ENTRY} FROM objects INDEXED BY objects_fragments WHERE {where}"  # noqa: S608 (constants)
    found = [Fragment(_entry(row)) for row in say.execute(query, place)] + waiting
    for each in found:
        _check(address, (each.entry.address.account, each.entry.address.container, each.entry.address.object))
    return found


def pending(say: sqlite3.Connection, after: int, limit: int) -> list[Fragment]:
    query = f"SELECT at, id, {_ENTRY} FROM pending WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 (constants)
    return [Fragment(_entry(row[2:]), row[0], row[1]) for row in say.execute(query, (after, limit))]


def partitions(say: sqlite3.Connection) -> list[tuple[int, int]]:
    """Skips from one to the next: a partition has up to 4096 suffixes."""
    here: list[tuple[int, int]] = []
    query = "SELECT policy, partition FROM digests WHERE (policy, partition) > (?, ?) ORDER BY 1, 2 LIMIT 1"
    last = (-1, -1)
    while (found := say.execute(query, last).fetchone()) is not None:
        last = (found[0], found[1])
        here.append(last)
    return here


def digests(say: sqlite3.Connection, policy: int, partition: int) -> dict[int, Digest]:
    query = "SELECT suffix, value, count FROM digests WHERE policy = ? AND partition = ?"
    return {suffix: Digest(value, count) for suffix, value, count in say.execute(query, (policy, partition))}


def entries(
    say: sqlite3.Connection, policy: int, partition: int, suffix: int | None, after: str, limit: int
) -> list[Entry]:
    past = bytes.fromhex(after)
    if suffix is None:
        where, places = "suffix < 4096 AND (suffix, hash) > (?, ?)", (int(after[-3:], 16) if after else -1, past)
    else:
        where, places = "suffix = ? AND hash > ?", (suffix, past)
    query = f"SELECT {_ENTRY} FROM objects WHERE policy = ? AND partition = ? AND {where} ORDER BY suffix, hash LIMIT ?"  # noqa: S608 (constants)
    return [_entry(row) for row in say.execute(query, (policy, partition, *places, limit))]


def expired(say: sqlite3.Connection, before: int, after: tuple[int, str], limit: int) -> list[Entry]:
    query = (
        f"SELECT {_ENTRY} FROM objects WHERE delete_at > 0 AND dead = 0 AND delete_at <= ?"  # noqa: S608 (constants)
        " AND (delete_at, hash) > (?, ?) ORDER BY delete_at, hash LIMIT ?"
    )
    return [_entry(row) for row in say.execute(query, (before, after[0], bytes.fromhex(after[1]), limit))]


def owed(say: sqlite3.Connection, after: int, limit: int) -> list[OwedUpdate]:
    query = (
        "SELECT id, account, container, object, stamp, update_row FROM owed_updates WHERE id > ? ORDER BY id LIMIT ?"
    )
    return [
        OwedUpdate(id=id_, account=account, container=container, object=name, stamp=stamp, row=row)
        for id_, account, container, name, stamp, row in say.execute(query, (after, limit))
    ]


def quarantined(say: sqlite3.Connection, after: int, limit: int) -> list[Quarantined]:
    query = "SELECT id, entry, reason, at FROM quarantine WHERE id > ? ORDER BY id LIMIT ?"
    return [
        Quarantined(id_, msgspec.msgpack.decode(entry, type=Entry), reason, at)
        for id_, entry, reason, at in say.execute(query, (after, limit))
    ]


def following(say: sqlite3.Connection, after: int) -> tuple[int, int, Entry, Body] | None:
    """The next object after the row `after`: its row's id, the digest kept of it, what it is and its body."""
    query = f"SELECT id, digest, file, body, {_ENTRY} FROM objects WHERE id > ? AND dead = 0 ORDER BY id LIMIT 1"  # noqa: S608 (constants)
    found = say.execute(query, (after,)).fetchone()
    if found is None:
        return None
    return found[0], found[1], _entry(found[4:]), Body(found[2], found[3])


def is_named(say: sqlite3.Connection, file: str, policy: int, partition: int, name_hash: str) -> bool:
    """Whether a row has the file of an object, or the quarantine."""
    place = (policy, partition, int(name_hash[-3:], 16), bytes.fromhex(name_hash))
    found = say.execute(f"SELECT file FROM objects WHERE {_PLACE}", place).fetchone()  # noqa: S608 (constants)
    if found is not None and found[0] == file:
        return True
    # Pending ones first: what is confirmed in between is found where it is then.
    for table in ("pending", "objects"):
        query = f"SELECT 1 FROM {table} WHERE hash = ? AND suffix >= 4096 AND file = ?"  # noqa: S608 (constants)
        if say.execute(query, (place[3], file)).fetchone() is not None:
            return True
    return say.execute("SELECT 1 FROM quarantine WHERE file = ?", (file,)).fetchone() is not None


def _opened(rows: sqlite3.Cursor, address: Address) -> Found | None:
    found = rows.fetchone()
    if found is None:
        return None
    _check(address, found[:3])
    return Found(objects.decode(found[3]), Body(found[4], found[5]))


def _find(say: sqlite3.Connection, address: Address) -> _Row | None:
    found = say.execute(_FIND, _place(address)).fetchone()
    if found is None:
        return None
    _check(address, found[1:4])
    return _Row(found[0], found[4], objects.decode(found[5]), found[6])


def _place(address: Address) -> tuple[int, int, int, bytes]:
    return address.policy, address.partition, address.suffix, bytes.fromhex(address.hash)


def _check(address: Address, names: tuple[str, str, str]) -> None:
    if names != (address.account, address.container, address.object):
        raise Conflict(f"Another object has the hash {address.hash}.", code="HashCollision")


def _entry(row: Sequence[object]) -> Entry:
    policy, partition, suffix, name_hash, account, container, name, version = row
    assert isinstance(policy, int)
    assert isinstance(partition, int)
    assert isinstance(suffix, int)
    assert isinstance(name_hash, bytes)
    assert isinstance(version, bytes)
    address = Address(
        policy=policy,
        partition=partition,
        hash=name_hash.hex(),
        account=str(account),
        container=str(container),
        object=str(name),
        fragment=suffix // objects.SUFFIXES - 1,
    )
    return Entry(address, objects.decode(version))


def _store(say: sqlite3.Connection, address: Address, row: _Row | None, now: Version, body: Body) -> None:
    """Write the row with another body."""
    sum_ = objects.digest(address.hash, now)
    values = (now.kind is Kind.TOMBSTONE, now.stamp, now.delete_at, sum_, objects.encode(now))
    if row is None:
        names = (address.account, address.container, address.object)
        say.execute(_INSERT, (*_place(address), *names, *values, body.file, body.inline))
    else:
        say.execute(f"{_UPDATE}, file = ?, body = ? WHERE id = ?", (*values, body.file, body.inline, row.id))
    _weigh(say, address, sum_, row)


def _amend(say: sqlite3.Connection, address: Address, row: _Row, now: Version) -> None:
    """Write the row, its body being what it was."""
    sum_ = objects.digest(address.hash, now)
    values = (now.kind is Kind.TOMBSTONE, now.stamp, now.delete_at, sum_, objects.encode(now))
    say.execute(f"{_UPDATE} WHERE id = ?", (*values, row.id))
    _weigh(say, address, sum_, row)


def _weigh(say: sqlite3.Connection, address: Address, sum_: int, row: _Row | None) -> None:
    change = (sum_ ^ row.digest, 0) if row else (sum_, 1)
    say.execute(_WEIGH, (address.policy, address.partition, address.suffix, *change))


def _drop(say: sqlite3.Connection, address: Address, row: _Row) -> None:
    say.execute("DELETE FROM objects WHERE id = ?", (row.id,))
    place = (address.policy, address.partition, address.suffix)
    say.execute(_WEIGH, (*place, row.digest, -1))
    say.execute("DELETE FROM digests WHERE policy = ? AND partition = ? AND suffix = ? AND count = 0", place)


def _owe(say: sqlite3.Connection, updates: Sequence[OwedUpdate]) -> tuple[int, ...]:
    ids: list[int] = []
    for each in updates:
        done = say.execute(_OWE, (each.account, each.container, each.object, each.stamp, each.row))
        if done.rowcount == 1 and done.lastrowid:
            ids.append(done.lastrowid)
    return tuple(ids)
