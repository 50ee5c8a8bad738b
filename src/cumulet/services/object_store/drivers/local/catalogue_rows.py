# SPDX-License-Identifier: Apache-2.0
"""Rows of the table of objects of a device, and how one is found.

A row is what is known of an object. Its body lies in the row, or in a file that the row names; a file that no row names
is not there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import (
    Address,
    Entry,
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
CREATE TABLE IF NOT EXISTS owed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    container TEXT NOT NULL,
    object TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    update_row BLOB NOT NULL
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

PLACE = "policy = ? AND partition = ? AND suffix = ? AND hash = ?"
ENTRY = "policy, partition, suffix, hash, account, container, object, version"
_FIND = f"SELECT id, account, container, object, digest, version, file FROM objects WHERE {PLACE}"  # noqa: S608 (constants)
_OPEN = f"SELECT account, container, object, version, file, body FROM objects WHERE {PLACE}"  # noqa: S608 (constants)
WAITING = f"{PLACE} AND stamp = ?"


class Body(msgspec.Struct, frozen=True):
    """Where a body is: in a file of that name, or here."""

    file: str | None = None
    inline: bytes | None = None


class Found(msgspec.Struct, frozen=True):
    """A row that was opened for reading."""

    version: Version
    body: Body


class Row(msgspec.Struct, frozen=True):
    id: int
    digest: int
    version: Version
    file: str | None


def open_row(say: sqlite3.Connection, address: Address, stamp: int = 0) -> Found | None:
    """With a `stamp` what is there of that, or pending."""
    row = _opened(say.execute(_OPEN, place_of(address)), address)
    if not stamp or (row is not None and row.version.stamp == stamp):
        return row
    waiting = open_pending(say, address, stamp)
    if waiting is None:  # or confirmed since
        row = _opened(say.execute(_OPEN, place_of(address)), address)
        return row if row is not None and row.version.stamp == stamp else None
    return waiting


def open_pending(say: sqlite3.Connection, address: Address, stamp: int) -> Found | None:
    query = f"SELECT account, container, object, version, file, body FROM pending WHERE {WAITING}"  # noqa: S608 (constants)
    return _opened(say.execute(query, (*place_of(address), stamp)), address)


def _opened(rows: sqlite3.Cursor, address: Address) -> Found | None:
    found = rows.fetchone()
    if found is None:
        return None
    check(address, found[:3])
    return Found(objects.decode(found[3]), Body(found[4], found[5]))


def find(say: sqlite3.Connection, address: Address) -> Row | None:
    found = say.execute(_FIND, place_of(address)).fetchone()
    if found is None:
        return None
    check(address, found[1:4])
    return Row(found[0], found[4], objects.decode(found[5]), found[6])


def place_of(address: Address) -> tuple[int, int, int, bytes]:
    return address.policy, address.partition, address.suffix, bytes.fromhex(address.hash)


def check(address: Address, names: tuple[str, str, str]) -> None:
    """Conflict (`HashCollision`) where they are another object's."""
    if names != (address.account, address.container, address.object):
        raise Conflict(f"Another object has the hash {address.hash}.", code="HashCollision")


def entry_of(row: Sequence[object]) -> Entry:
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
