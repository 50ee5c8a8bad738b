# SPDX-License-Identifier: Apache-2.0
"""Fills a Cumulet of the driver's own beside its processes, where its API would take a quarter of an hour.

What is written is what the API would write, row by row; a cloud that is not ours is filled by its API.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.stock import PROVIDER, RESOURCES, ROOM
from cumulet.kernel import clock, ids
from cumulet.kernel.db import Database, Tx
from cumulet.kernel.db.database import FILE_NAME
from cumulet.services.placement.logic import inventories
from cumulet.services.placement.store import inventories as inventory_store
from cumulet.services.placement.store import providers as provider_store
from cumulet.services.placement.types import Provider

AT_ONCE = 200  # providers in a transaction


def providers(state: Path, first: int, end: int) -> None:
    """Make the providers numbered from `first` to before `end` in the database below `state`."""
    db = Database.sqlite(state / FILE_NAME)
    try:
        for start in range(first, end, AT_ONCE):
            db.write(partial(_write, range(start, min(start + AT_ONCE, end))))
    finally:
        db.close()


def _write(numbers: range, tx: Tx) -> None:
    now = clock.utcnow()
    stock = []
    for number in numbers:
        uuid = ids.new_uuid()
        provider_store.add(tx, Provider(uuid, f"{PROVIDER}{number}", 1, None, uuid, now, now))
        stock += [inventories.make(uuid, name, {"total": total}) for name, total in zip(RESOURCES, ROOM, strict=True)]
    inventory_store.add(tx, *stock)
