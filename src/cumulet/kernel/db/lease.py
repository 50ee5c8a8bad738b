# SPDX-License-Identifier: Apache-2.0
"""Leases: names that one owner at a time holds for some seconds, for work that one replica does for all."""

from __future__ import annotations

from sqlalchemy import delete, or_, update

from cumulet.kernel import clock
from cumulet.kernel.db import sql, tables
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Tx


class Lease:
    """One name as one owner sees it; remembers what it holds, so that asking often costs nothing."""

    def __init__(self, db: Database, name: str, owner: str, seconds: float) -> None:
        self._db = db
        self._name = name
        self._owner = owner
        self._seconds = seconds
        self._until = 0.0

    def hold(self) -> bool:
        """Hold the name for at least half of the time more; False while somebody else does."""
        if self._until - clock.now() > self._seconds / 2:
            return True
        until = clock.now() + self._seconds
        held = take(self._db, self._name, self._owner, self._seconds)
        self._until = until if held else 0.0
        return held

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have the name now."""
        return self._until > clock.now()

    def drop(self) -> None:
        """Let go of it, so that others need not wait for its end."""
        self._until = 0.0
        mine = [tables.lease.c.name == self._name, tables.lease.c.owner == self._owner]
        self._db.write(lambda tx: sql.execute(tx, delete(tables.lease).where(*mine)))


def take(db: Database, name: str, owner: str, seconds: float) -> bool:
    """Hold `name` for `seconds`, newly or again; False while somebody else does."""
    lease = tables.lease

    def write(tx: Tx) -> bool:
        now = clock.now()
        free = or_(lease.c.owner == owner, lease.c.until < now)
        values = {"owner": owner, "until": now + seconds}
        if sql.execute(tx, update(lease).where(lease.c.name == name, free).values(values)):
            return True
        if sql.column(tx, lease.select().where(lease.c.name == name)):
            return False
        sql.execute(tx, lease.insert().values(name=name, **values))
        return True

    return db.write(write, loose=True)


def drop_all(db: Database, owner: str) -> None:
    """Let go of whatever `owner` holds."""
    db.write(lambda tx: sql.execute(tx, delete(tables.lease).where(tables.lease.c.owner == owner)))
