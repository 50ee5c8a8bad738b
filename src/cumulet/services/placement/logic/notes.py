# SPDX-License-Identifier: Apache-2.0
"""Upkeep of the notes on what has changed, which `memory` reads."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Database, Tx
from cumulet.services.placement.store import changes as store


class Horizon:
    """The greatest number of a note when this process looked last."""

    def __init__(self) -> None:
        self.number: int | None = None

    def move(self, db: Database) -> None:
        """Remove what was below the horizon already, of providers that are gone; the newest note stays always."""
        last, before = store.last(db), self.number
        if before is not None:
            db.write(lambda tx: store.forget_removed(tx, before), loose=True)
        self.number = last


def forget_removed(cloud: Cloud) -> None:
    """Remove the notes on providers that were gone when this was done before, in this process."""
    cloud.keep(Horizon).move(cloud.db)


def settle_foreign(cloud: Cloud) -> None:
    """Give notes that came with a backup of another server numbers of this one: they would be news for ever."""
    foreign = store.foreign(cloud.db)

    def write(tx: Tx) -> None:
        for uuid, number in foreign:
            store.settle(tx, uuid, number)

    if foreign:
        cloud.db.write(write)
