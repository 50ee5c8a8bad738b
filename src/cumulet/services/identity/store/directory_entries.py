# SPDX-License-Identifier: Apache-2.0
"""Which rows mirror users and groups of outside directories, in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import directory_entry
from cumulet.services.identity.types import DirectoryEntry


def find(source: Source, public_id: str) -> DirectoryEntry | None:
    return sql.find(source, directory_entry, DirectoryEntry, id=public_id)


def find_all(source: Source, **equal: str) -> list[DirectoryEntry]:
    """The entries whose columns hold these values."""
    query = select(directory_entry).order_by(directory_entry.c.id)
    conditions = [directory_entry.c[name] == value for name, value in equal.items()]
    return sql.rows(source, query.where(*conditions), DirectoryEntry)


def of_domain(source: Source, domain_id: str, kind: str) -> dict[str, DirectoryEntry]:
    """The entries of one kind of a domain, by their public ids."""
    return {entry.id: entry for entry in find_all(source, domain_id=domain_id, kind=kind)}


def in_use(source: Source, kind: str, used_after: datetime, refreshed_before: datetime) -> list[DirectoryEntry]:
    """The entries that were used lately and not looked up for long."""
    query = select(directory_entry).where(
        directory_entry.c.kind == kind,
        directory_entry.c.used_at > used_after,
        directory_entry.c.refreshed_at < refreshed_before,
    )
    return sql.rows(source, query.order_by(directory_entry.c.refreshed_at), DirectoryEntry)


def put(tx: Tx, entry: DirectoryEntry) -> None:
    """Store an entry, or when it was looked up and, unless that is None, used."""
    values = {"refreshed_at": entry.refreshed_at}
    if entry.used_at is not None:
        values["used_at"] = entry.used_at
    if not sql.execute(tx, update(directory_entry).where(directory_entry.c.id == entry.id).values(values)):
        sql.add(tx, directory_entry, entry)


def remove(tx: Tx, public_id: str) -> None:
    sql.execute(tx, delete(directory_entry).where(directory_entry.c.id == public_id))
