# SPDX-License-Identifier: Apache-2.0
"""Reshapes a tree of providers again and again, each time killed some statements later; prints what each kill has left.

A program of its own, for it forks: `python reshaping.py SQLITE-FILE-OR-URL STEP`. It prints a line of JSON for each
kill, and one for the reshape in the end that nobody killed: `{"at": statement, "killed": bool, ...}` with `state`.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine, event

import cumulet.services.placement
from cumulet.kernel.db import Database, Tx, migrate
from cumulet.services.placement.contract import Inventory
from cumulet.services.placement.facade import Placement
from cumulet.services.placement.logic import inventories, providers, reshaper
from cumulet.services.placement.logic.allocations import Wish
from cumulet.services.placement.logic.memory import Memory

MIGRATIONS = Path(cumulet.services.placement.__file__).parent / "migrations"
HOST, DISK = "44444444-0000-4000-8000-000000000001", "44444444-0000-4000-8000-000000000002"
SERVERS = ("55555555-0000-4000-8000-000000000001", "55555555-0000-4000-8000-000000000002")


class Cloud:
    """As much of a cloud as a reshape needs."""

    def __init__(self, db: Database) -> None:
        self.db = db


def prepare(db: Database) -> None:
    """A host that has processors and a disk, two servers on it, and a provider that is to have the disk."""
    placement = Placement(Memory())

    def write(tx: Tx) -> None:
        for server in SERVERS:
            placement.release(tx, server)
        for uuid in (DISK, HOST):
            placement.delete_provider(tx, uuid)
        placement.ensure_provider(tx, HOST, "host")
        placement.ensure_provider(tx, DISK, "disk", HOST)
        placement.set_inventory(tx, HOST, {"VCPU": Inventory(total=8), "DISK_GB": Inventory(total=100)})
        for server in SERVERS:
            placement.claim(tx, server, {HOST: {"VCPU": 1, "DISK_GB": 10}}, "project", "user")

    db.write(write)


def reshape(db: Database) -> None:
    """Move the disk, and what is claimed of it, from the host to the other provider."""
    stock = {
        HOST: [inventories.make(HOST, "VCPU", {"total": 8})],
        DISK: [inventories.make(DISK, "DISK_GB", {"total": 100})],
    }
    wanted = {uuid: (providers.get(db, uuid).generation, each) for uuid, each in stock.items()}
    claims = {HOST: {"VCPU": 1}, DISK: {"DISK_GB": 10}}
    wishes = {server: Wish(claims, "project", "user", "INSTANCE", 1) for server in SERVERS}
    reshaper.reshape(Cloud(db), wanted, wishes)  # type: ignore[arg-type]


def state(db: Database) -> dict[str, Any]:
    """Who has and holds what, in the database and in a memory of it."""
    placement = Placement(Memory())
    held = {server: placement.allocation(db, server) for server in SERVERS}
    return {
        "has": {uuid: sorted(inventories.of_provider(db, uuid)) for uuid in (HOST, DISK)},
        "holds": {server: each.resources for server, each in held.items() if each is not None},
        "generations": [providers.get(db, uuid).generation for uuid in (HOST, DISK)],
        "consumers": [each.generation for each in held.values() if each is not None],
        "found": [each.allocations for each in placement.candidates(db, {"VCPU": 1, "DISK_GB": 80})],
    }


def kill_at(number: int) -> None:
    """Die before the statement of this number, `COMMIT` among them; for databases that are opened from now on."""
    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done += 1
        if done == number:
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(Engine, "connect")
    def watch(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):  # which is asked without SQLAlchemy as well
            connection.set_trace_callback(count)

    @event.listens_for(Engine, "before_cursor_execute")
    def look(connection: Connection, *_: Any) -> None:
        if connection.dialect.name != "sqlite":
            count()


def open_database(where: str) -> Database:
    return Database.postgres(where) if "://" in where else Database.sqlite(Path(where))


def killed_at(where: str, number: int) -> bool:
    """Reshape in a process of its own, which dies before its statement of this number; False where it has none."""
    child = os.fork()
    if child == 0:
        _reshape_and_die(where, number)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, status
    return os.WIFSIGNALED(status)


def _reshape_and_die(where: str, number: int) -> NoReturn:
    code = 1
    try:
        kill_at(number)
        reshape(open_database(where))
        code = 0
    finally:
        os._exit(code)


def main(where: str, step: int) -> None:
    """Kill at every `step`th statement."""
    number, killed = 1, True
    while killed:
        db = open_database(where)
        migrate.migrate(db, {"placement": MIGRATIONS})
        prepare(db)
        db.close()  # before the fork
        killed = killed_at(where, number)
        db = open_database(where)
        print(json.dumps({"at": number, "killed": killed, **state(db)}), flush=True)
        db.close()
        number += step


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
