# SPDX-License-Identifier: Apache-2.0
"""The tables of `index.db`, and the row of each index in them.

Objects are clustered by index, whether they are tombstones, policy and name, so a listing reads neighbours and
meets no tombstone. Counts and digest stand in the index's own row and are written with what they count. Change numbers
are those of the file, so that those of an index made anew go on where the old one's ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.types.indexes import (
    UNSHARDED,
    ContainerRow,
    Count,
    IndexState,
    Info,
    Key,
    Metadata,
    PolicyChoice,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS device (word TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS indexes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, container TEXT NOT NULL, body BLOB NOT NULL,
    change INTEGER NOT NULL, digest BLOB NOT NULL, owed INTEGER NOT NULL, UNIQUE (account, container));
CREATE INDEX IF NOT EXISTS index_changes ON indexes (change);
CREATE INDEX IF NOT EXISTS index_owed ON indexes (id) WHERE owed;
CREATE TABLE IF NOT EXISTS metadata (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER NOT NULL, gone INTEGER NOT NULL, policy INTEGER NOT NULL, name TEXT NOT NULL, stamp INTEGER NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, type TEXT NOT NULL, type_after INTEGER NOT NULL,
    meta_after INTEGER NOT NULL, shown INTEGER NOT NULL, change INTEGER NOT NULL,
    PRIMARY KEY (id, gone, policy, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS object_changes ON objects (id, change);
CREATE TABLE IF NOT EXISTS containers (
    id INTEGER NOT NULL, gone INTEGER NOT NULL, name TEXT NOT NULL, put INTEGER NOT NULL, deleted INTEGER NOT NULL,
    objects INTEGER NOT NULL, bytes INTEGER NOT NULL, policy INTEGER NOT NULL, counted INTEGER NOT NULL,
    change INTEGER NOT NULL, PRIMARY KEY (id, gone, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS container_changes ON containers (id, change);
CREATE TABLE IF NOT EXISTS syncs (
    id INTEGER NOT NULL, peer TEXT NOT NULL, incoming INTEGER NOT NULL, point INTEGER NOT NULL,
    PRIMARY KEY (id, peer, incoming)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ranges (id INTEGER NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (id, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS garbage (id INTEGER PRIMARY KEY);
"""

Numbers = Iterator[int]


class Body(msgspec.Struct, array_like=True):
    """What is read and written with each change; metadata lie apart."""

    created: int
    put: int
    deleted: int
    choices: tuple[PolicyChoice, ...]
    counts: dict[int, Count]
    usage: Count
    sharding: str
    reported: ContainerRow | None


class Sheet(msgspec.Struct):
    """An index as a commit works on it: `counts` and `digest` are what they will be."""

    number: int
    info: Info
    counts: dict[int, Count]
    digest: int


_body = msgspec.msgpack.Decoder(Body)
_metadata = msgspec.msgpack.Decoder(Metadata)
_encode = msgspec.msgpack.Encoder().encode


def load(connection: sqlite3.Connection, key: Key, *, metadata: bool = True) -> Sheet | None:
    """Without its metadata it is good for rows alone, and only they for a container that is not sharded."""
    found = connection.execute(
        "SELECT id, body, change, digest FROM indexes WHERE account = ? AND container = ?", key
    ).fetchone()
    if found is None:
        return None
    number, packed, change, digest = found
    body = _body.decode(packed)
    words: Metadata = {}
    if metadata or body.sharding != UNSHARDED:
        row = connection.execute("SELECT body FROM metadata WHERE id = ?", (number,)).fetchone()
        words = _metadata.decode(row[0]) if row else {}
    info = Info(
        key=key,
        state=IndexState(
            created=body.created, put=body.put, deleted=body.deleted, choices=body.choices, metadata=words
        ),
        counts=body.counts,
        usage=body.usage,
        sharding=body.sharding,
        change=change,
        digest=digest,
        reported=body.reported,
    )
    return Sheet(number, info, dict(body.counts), int.from_bytes(digest))


def needed(connection: sqlite3.Connection, key: Key, *, metadata: bool = True) -> Sheet:
    sheet = load(connection, key, metadata=metadata)
    if sheet is None:
        raise NotFound("There is no such index.")
    return sheet


def save(connection: sqlite3.Connection, sheet: Sheet, change: int) -> Info:
    """All but the metadata, with the counts and the digest of the sheet."""
    info = sheet.info
    state = info.state
    kept = Info(
        key=info.key,
        state=state,
        counts=sheet.counts,
        usage=info.usage,
        sharding=info.sharding,
        change=change,
        digest=sheet.digest.to_bytes(16),
        reported=info.reported,
    )
    connection.execute(
        "UPDATE indexes SET body = ?, change = ?, digest = ?, owed = ? WHERE id = ?",
        (packed(kept), change, kept.digest, kept.owed, sheet.number),
    )
    return kept


def packed(info: Info) -> bytes:
    state = info.state
    return _encode(
        Body(
            state.created,
            state.put,
            state.deleted,
            state.choices,
            info.counts,
            info.usage,
            info.sharding,
            info.reported,
        )
    )


def store(connection: sqlite3.Connection, sheet: Sheet | None, info: Info, numbers: Numbers) -> Info:
    """An index whose state was changed, or that is new."""
    change = next(numbers)
    if sheet is None:
        kept = msgspec.structs.replace(info, change=change)
        done = connection.execute(
            "INSERT INTO indexes (account, container, body, change, digest, owed) VALUES (?, ?, ?, ?, ?, ?)",
            (*info.key, packed(kept), change, kept.digest, kept.owed),
        )
        keep_metadata(connection, int(done.lastrowid or 0), info.state.metadata)
        return kept
    if info.state.metadata != sheet.info.state.metadata:
        keep_metadata(connection, sheet.number, info.state.metadata)
    sheet.info = info
    return save(connection, sheet, change)


def keep_metadata(connection: sqlite3.Connection, number: int, metadata: Metadata) -> None:
    connection.execute("INSERT OR REPLACE INTO metadata (id, body) VALUES (?, ?)", (number, _encode(metadata)))


def forget(connection: sqlite3.Connection, sheet: Sheet) -> None:
    """Its rows go later, in portions: they are garbage from now on."""
    number = (sheet.number,)
    connection.execute("UPDATE device SET value = max(value, ?) WHERE word = 'floor'", (sheet.info.change,))
    for table in ("indexes", "metadata", "syncs", "ranges"):
        connection.execute(f"DELETE FROM {table} WHERE id = ?", number)  # noqa: S608 - names from the line above
    connection.execute("INSERT OR IGNORE INTO garbage (id) VALUES (?)", number)


def sweep(connection: sqlite3.Connection, limit: int) -> bool:
    """Remove a portion of garbage; whether there may be more."""
    found = connection.execute("SELECT id FROM garbage LIMIT 1").fetchone()
    if found is None:
        return False
    for table, names in (("objects", "id, gone, policy, name"), ("containers", "id, gone, name")):
        done = connection.execute(
            f"DELETE FROM {table} WHERE ({names}) IN (SELECT {names} FROM {table} WHERE id = ? LIMIT ?)",  # noqa: S608
            (found[0], limit),
        )
        if done.rowcount == limit:
            return True
    connection.execute("DELETE FROM garbage WHERE id = ?", found)
    return True
