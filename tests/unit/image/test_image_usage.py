# SPDX-License-Identifier: Apache-2.0
"""What a project's images take up, on each database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel import clock, ids
from cumulet.kernel.db import Database, Tx, migrate
from cumulet.services import image
from cumulet.services.image.store import images, locations, usage
from cumulet.services.image.store.usage import Taken
from cumulet.services.image.types import IMPORTING_TO, Image, ImageStatus, Location, Visibility

MINE, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def db(empty: Database) -> Database:
    migrate.migrate(empty, {"image": Path(image.__file__).parent / "migrations"})
    return empty


def add(db: Database, owner: str, status: ImageStatus, size: int | None, stores: int = 0, **words: str) -> None:
    now = clock.utcnow()
    known: dict[str, Any] = dict.fromkeys(Image.__struct_fields__)
    new = Image(
        **{
            **known,
            "id": ids.new_uuid(),
            "owner": owner,
            "status": status,
            "visibility": Visibility.PRIVATE,
            "min_disk": 0,
            "min_ram": 0,
            "protected": False,
            "os_hidden": False,
            "size": size,
            "created_at": now,
            "updated_at": now,
        }
    )

    def write(tx: Tx) -> None:
        images.add(tx, new)
        images.set_properties(tx, new.id, words)
        locations.replace(tx, new.id, [Location(new.id, at, f"store-{at}", new.id, {}) for at in range(stores)])

    db.write(write)


def test_each_copy_counts_and_what_is_on_its_way(db: Database) -> None:
    assert usage.of_project(db, MINE) == Taken(0, 0, 0, 0)
    add(db, MINE, ImageStatus.QUEUED, None)
    add(db, MINE, ImageStatus.SAVING, None)
    add(db, MINE, ImageStatus.ACTIVE, 10, stores=2)
    add(db, MINE, ImageStatus.ACTIVE, 100, stores=1, **{IMPORTING_TO: "far"})
    add(db, MINE, ImageStatus.ACTIVE, 1000, stores=1, **{IMPORTING_TO: ""})
    add(db, MINE, ImageStatus.UPLOADING, 5)
    add(db, MINE, ImageStatus.IMPORTING, 7)
    add(db, OTHER, ImageStatus.ACTIVE, 3, stores=1)
    assert usage.of_project(db, MINE) == Taken(size=1120, staged=112, count=7, uploading=4)
