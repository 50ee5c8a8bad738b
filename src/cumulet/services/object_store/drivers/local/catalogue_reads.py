# SPDX-License-Identifier: Apache-2.0
"""What is read of the table of objects of a device; the first argument is a connection of its ledger."""

from __future__ import annotations

import sqlite3

import msgspec

from cumulet.services.object_store.drivers.base import Digest, Quarantined
from cumulet.services.object_store.drivers.local.catalogue_rows import ENTRY, PLACE, Body, check, entry_of, find
from cumulet.services.object_store.types.objects import (
    Address,
    Entry,
    Fragment,
    OwedUpdate,
    Version,
)


def version_of(say: sqlite3.Connection, address: Address) -> Version | None:
    row = find(say, address)
    return row.version if row else None


def fragments(say: sqlite3.Connection, address: Address) -> list[Fragment]:
    where = "hash = ? AND suffix >= 4096 AND policy = ? AND partition = ?"
    place = (bytes.fromhex(address.hash), address.policy, address.partition)
    # Pending ones first: what is confirmed in between is told twice, and not missed.
    query = f"SELECT at, id, {ENTRY} FROM pending WHERE {where}"  # noqa: S608 (constants)
    waiting = [Fragment(entry_of(row[2:]), row[0], row[1]) for row in say.execute(query, place)]
    # Else the planner walks through the partition.
    query = f"SELECT {ENTRY} FROM objects INDEXED BY objects_fragments WHERE {where}"  # noqa: S608 (constants)
    found = [Fragment(entry_of(row)) for row in say.execute(query, place)] + waiting
    for each in found:
        check(address, (each.entry.address.account, each.entry.address.container, each.entry.address.object))
    return found


def pending(say: sqlite3.Connection, after: int, limit: int) -> list[Fragment]:
    query = f"SELECT at, id, {ENTRY} FROM pending WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 (constants)
    return [Fragment(entry_of(row[2:]), row[0], row[1]) for row in say.execute(query, (after, limit))]


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
    query = f"SELECT {ENTRY} FROM objects WHERE policy = ? AND partition = ? AND {where} ORDER BY suffix, hash LIMIT ?"  # noqa: S608 (constants)
    return [entry_of(row) for row in say.execute(query, (policy, partition, *places, limit))]


def expired(say: sqlite3.Connection, before: int, after: tuple[int, str], limit: int) -> list[Entry]:
    query = (
        f"SELECT {ENTRY} FROM objects WHERE delete_at > 0 AND dead = 0 AND delete_at <= ?"  # noqa: S608 (constants)
        " AND (delete_at, hash) > (?, ?) ORDER BY delete_at, hash LIMIT ?"
    )
    return [entry_of(row) for row in say.execute(query, (before, after[0], bytes.fromhex(after[1]), limit))]


def owed(say: sqlite3.Connection, after: int, limit: int) -> list[OwedUpdate]:
    query = "SELECT id, account, container, object, stamp, update_row FROM owed WHERE id > ? ORDER BY id LIMIT ?"
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
    query = f"SELECT id, digest, file, body, {ENTRY} FROM objects WHERE id > ? AND dead = 0 ORDER BY id LIMIT 1"  # noqa: S608 (constants)
    found = say.execute(query, (after,)).fetchone()
    if found is None:
        return None
    return found[0], found[1], entry_of(found[4:]), Body(found[2], found[3])


def is_named(say: sqlite3.Connection, file: str, policy: int, partition: int, name_hash: str) -> bool:
    """Whether a row has the file of an object, or the quarantine."""
    place = (policy, partition, int(name_hash[-3:], 16), bytes.fromhex(name_hash))
    found = say.execute(f"SELECT file FROM objects WHERE {PLACE}", place).fetchone()  # noqa: S608 (constants)
    if found is not None and found[0] == file:
        return True
    # Pending ones first: what is confirmed in between is found where it is then.
    for table in ("pending", "objects"):
        query = f"SELECT 1 FROM {table} WHERE hash = ? AND suffix >= 4096 AND file = ?"  # noqa: S608 (constants)
        if say.execute(query, (place[3], file)).fetchone() is not None:
            return True
    return say.execute("SELECT 1 FROM quarantine WHERE file = ?", (file,)).fetchone() is not None
