# SPDX-License-Identifier: Apache-2.0
"""Who holds which host's link, among all replicas: the newest link wins, and a replica that falls silent loses all.

A host's generation rises in the database with each link, so that all replicas agree which one is the newest. A replica
shows that it lives by a beat that rises; the others watch it by their own clocks, so that no clock needs to be right. A
replica without neighbours does not beat: a cloud on one machine writes one row a minute while it idles.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import delete, select, update

from cumulet.kernel import clock, errors
from cumulet.kernel.db import sql
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Tx
from cumulet.kernel.link import tables
from cumulet.kernel.link.doors import Caller
from cumulet.kernel.link.rows import HostRow, Replica, ReplicaRow

LOG = logging.getLogger(__name__)

BEAT = 2.0  # seconds between two beats
DEAD = 10.0  # seconds without a beat after which a replica counts as gone
SURE = 5.0  # seconds that a replica may trust its last look: less than DEAD, so that two never hold one host
SEEN = 60.0  # seconds between two notes that the hosts held here are still there
FORGET = 3600.0  # seconds after which a silent replica's row is removed

_HOSTS = select(tables.host).order_by(tables.host.c.name)
_NAMES = select(tables.host.c.name).order_by(tables.host.c.name)
_REPLICAS = select(tables.replica).order_by(tables.replica.c.name)


class View(msgspec.Struct, frozen=True):
    """What a look at the tables showed, begun at `at` on the monotonic clock.

    `ended` are the other replicas whose life, as far as the look before knew of it, has ended.
    """

    at: float
    hosts: Mapping[str, HostRow]
    ended: tuple[str, ...]


class Registry:
    """The tables as the replica `replica` uses them; every method may block, none is called on the loop."""

    def __init__(self, db: Database, replica: str) -> None:
        self.replica = replica
        self._db = db
        self._heard: dict[str, tuple[int, float]] = {}
        self._lives: dict[str, float] = {}
        self._looked_at = 0.0
        self._beat_at = 0.0
        self._seen_at = time.monotonic()
        self._looking = threading.Lock()

    def sign_on(self, address: str) -> None:
        """Tell the others where this replica is."""
        row = {"address": address, "started_at": clock.now()}
        change = update(tables.replica).where(tables.replica.c.name == self.replica)

        def write(tx: Tx) -> None:
            if not sql.execute(tx, change.values(beat=tables.replica.c.beat + 1, **row)):
                sql.execute(tx, tables.replica.insert().values(name=self.replica, beat=1, **row))

        self._db.write(write)
        self.look()

    def sign_off(self) -> None:
        """Leave; the others need not wait until the silence is long enough."""
        self._db.write(lambda tx: sql.execute(tx, delete(tables.replica).where(tables.replica.c.name == self.replica)))

    def claim(
        self, name: str, fingerprint: str | None, version: str, capabilities: Mapping[str, Any], *, force: bool = False
    ) -> int:
        """Take over the host's link; its new generation.

        `fingerprint` is that of the certificate shown, None on a UNIX socket. Raises Forbidden where the host may not
        have a link, NotReady while another replica still tells of the last link's end (unless `force`).
        """
        return self._db.write(lambda tx: self._claim(tx, name, fingerprint, version, dict(capabilities), force))

    def _claim(
        self, tx: Tx, name: str, fingerprint: str | None, version: str, capabilities: dict[str, Any], force: bool
    ) -> int:
        now = clock.now()
        values: dict[str, Any] = {
            "replica": self.replica, "parting": None, "connected_at": now, "reported_at": None, "seen_at": now,
            "version": version, "capabilities": capabilities,
        }  # fmt: skip
        tx.lock(f"host:{name}")
        row = find(tx, name)
        if row is None:
            if fingerprint is not None:
                raise _unknown(name)
            new = {"name": name, "revoked": False, "joined_at": now, "generation": 1, **values}
            sql.execute(tx, tables.host.insert().values(new))
            return 1
        _check(row, fingerprint)
        if row.parting not in (None, self.replica) and not force and self.lives(str(row.parting)):
            raise errors.NotReady(f"the end of the last link of host {name} is still being told", code="HostParting")
        if fingerprint is not None and fingerprint == row.fingerprint:
            values["fingerprint_before"] = None
        generation = row.generation + 1
        mine = tables.host.c.name == name
        sql.execute(tx, update(tables.host).where(mine).values(generation=generation, **values))
        return generation

    def reported(self, name: str, generation: int) -> bool:
        """Note that the host has told the whole truth; False where a newer link has taken over."""
        now = clock.now()
        return self._change(name, generation, reported_at=now, seen_at=now)

    def leave(self, name: str, generation: int, *, tell: bool) -> bool:
        """Note the end of a link; False where a newer one has taken over.

        With `tell` no replica takes a new link of the host until `parted`, so that its services hear of the end first.
        """
        values = {"replica": None, "reported_at": None, "parting": self.replica if tell else None}
        return self._change(name, generation, **values) or self.find(name) is None

    def adopt(self, row: HostRow) -> bool:
        """Note the end of a link whose replica is gone, as `leave`; False where another replica was quicker."""
        held = (tables.host.c.replica == row.replica, tables.host.c.generation == row.generation)
        values = {"replica": None, "reported_at": None, "parting": self.replica if row.reported_at else None}
        change = update(tables.host).where(tables.host.c.name == row.name, *held).values(values)
        return self._db.write(lambda tx: sql.execute(tx, change)) == 1

    def parted(self, name: str) -> None:
        """All have been told of the link's end."""
        mine = (tables.host.c.name == name, tables.host.c.parting == self.replica)
        self._db.write(lambda tx: sql.execute(tx, update(tables.host).where(*mine).values(parting=None)))

    def find(self, name: str) -> HostRow | None:
        return find(self._db, name)

    def admit(self, caller: Caller) -> HostRow:
        """The row of the host whose certificate was shown. Forbidden where it is not good any more."""
        row = self.find(caller.name)
        if row is None:
            raise _unknown(caller.name)
        _check(row, caller.fingerprint)
        return row

    def names(self) -> list[str]:
        """All hosts that have joined and were not removed, there or not."""
        return sql.column(self._db, _NAMES)

    def replica_of(self, name: str) -> ReplicaRow | None:
        """The replica that holds the host's link now; None where none does or it does not live."""
        row = self.find(name)
        if row is None or row.replica is None or row.reported_at is None:
            return None
        if row.replica in self._heard and not self.lives(row.replica):
            return None  # one that no look has seen yet is new
        query = select(tables.replica).where(tables.replica.c.name == row.replica)
        return sql.row(self._db, query, ReplicaRow)

    def look(self) -> View:
        """Read all, beat where there are others, and note who lives."""
        with self._looking:
            now = time.monotonic()
            hosts = {row.name: row for row in sql.rows(self._db, _HOSTS, HostRow)}
            replicas = {row.name: row for row in sql.rows(self._db, _REPLICAS, ReplicaRow)}
            self._listen(replicas, now)
            if replicas.keys() != {self.replica} and now - self._beat_at > BEAT:
                self._beat(replicas, now)
            self._looked_at = now
            if now - self._seen_at > SEEN:
                self._seen_at = now
                self._note_seen(hosts)
            return View(now, hosts, self._ended(replicas))

    def sure(self) -> bool:
        """Whether the last look is so recent that no other replica can have taken this one for dead."""
        return time.monotonic() - self._looked_at < SURE

    def lives(self, replica: str) -> bool:
        """Whether the replica has been heard of lately."""
        if replica == self.replica:
            return True
        heard = self._heard.get(replica)
        return heard is not None and time.monotonic() - heard[1] < DEAD

    def replicas(self) -> list[Replica]:
        """All that have signed on and not off, by name, as the last look saw them; silent ones for an hour."""
        now, wall = time.monotonic(), clock.now()
        heard = {**{name: at for name, (_, at) in self._heard.items()}, self.replica: now}
        return [Replica(name, self.lives(name), wall - (now - at)) for name, at in sorted(heard.items())]

    def _listen(self, replicas: Mapping[str, ReplicaRow], now: float) -> None:
        # After a pause of our own nobody is judged by what was not heard in it.
        deaf = now - self._looked_at > SURE
        heard = {}
        for name, row in replicas.items():
            before = self._heard.get(name)
            fresh = deaf or before is None or before[0] != row.beat
            heard[name] = (row.beat, now if fresh or before is None else before[1])
        self._heard = heard

    def _ended(self, replicas: Mapping[str, ReplicaRow]) -> tuple[str, ...]:
        """Whose life is no longer the one that the last look saw."""
        living = {name: row.started_at for name, row in replicas.items() if name != self.replica and self.lives(name)}
        before, self._lives = self._lives, living
        return tuple(sorted(name for name, began in before.items() if living.get(name) != began))

    def _beat(self, replicas: Mapping[str, ReplicaRow], now: float) -> None:
        self._beat_at = now
        mine = tables.replica.c.name == self.replica
        raise_it = update(tables.replica).where(mine).values(beat=tables.replica.c.beat + 1)
        silent = [name for name in replicas if not self.lives(name) and now - self._heard[name][1] > FORGET]

        def write(tx: Tx) -> None:
            sql.execute(tx, raise_it)
            if silent:
                sql.execute(tx, delete(tables.replica).where(sql.any_of(tables.replica.c.name, silent)))

        self._db.write(write)

    def _note_seen(self, hosts: Mapping[str, HostRow]) -> None:
        if any(row.replica == self.replica for row in hosts.values()):
            held = update(tables.host).where(tables.host.c.replica == self.replica).values(seen_at=clock.now())
            self._db.write(lambda tx: sql.execute(tx, held))

    def _change(self, name: str, generation: int, **values: Any) -> bool:
        mine = (tables.host.c.name == name, tables.host.c.generation == generation)
        return self._db.write(lambda tx: sql.execute(tx, update(tables.host).where(*mine).values(**values))) == 1


def find(source: Any, name: str) -> HostRow | None:
    """The host's row, or None."""
    return sql.row(source, select(tables.host).where(tables.host.c.name == name), HostRow)


def _unknown(name: str) -> errors.Forbidden:
    return errors.Forbidden(f"host {name} has not joined this cloud, or was removed", code="HostUnknown")


def _check(row: HostRow, fingerprint: str | None) -> None:
    if row.revoked:
        raise errors.Forbidden(f"host {row.name} has been revoked", code="HostRevoked")
    if fingerprint is None and row.fingerprint is not None:
        raise errors.Forbidden(
            f"host {row.name} has joined with a certificate and cannot come by the socket of this machine",
            code="CertificateNeeded",
        )
    if fingerprint is not None and fingerprint not in (row.fingerprint, row.fingerprint_before):
        raise errors.Forbidden(f"this certificate of host {row.name} has been replaced", code="CertificateReplaced")
