# SPDX-License-Identifier: Apache-2.0
"""Images of the release before stores had names: where their data are is known without having been written."""

from __future__ import annotations

import shutil
from pathlib import Path

import cumulet.services.image
from cumulet.kernel import clock
from cumulet.kernel.db import migrate
from cumulet.kernel.db.database import Database
from cumulet.services.image.logic import locations as places
from cumulet.services.image.store import images, locations
from cumulet.services.image.types import Image, ImageStatus, Location, Visibility

MIGRATIONS = Path(cumulet.services.image.__file__).parent / "migrations"
FIRST = "0001_initial.sql"


def image(number: int, status: ImageStatus) -> Image:
    size = None if status == ImageStatus.QUEUED else 5
    return Image(
        id=f"00000000-0000-0000-0000-00000000000{number}", name=None, owner=None, status=status,
        visibility=Visibility.SHARED, disk_format="raw", container_format="bare", min_disk=0, min_ram=0,
        protected=False, os_hidden=False, size=size, virtual_size=size, checksum=None, os_hash_algo=None,
        os_hash_value=None, created_at=clock.utcnow(), updated_at=clock.utcnow(),
    )  # fmt: skip


def local(found: Image) -> list[Location]:
    return [Location(found.id, 0, "local", found.id, {})]


def test_images_that_are_there_get_their_places(empty: Database, tmp_path: Path) -> None:
    before = tmp_path / "migrations"
    before.mkdir()
    shutil.copy(MIGRATIONS / FIRST, before)
    migrate.migrate(empty, {"image": before})
    active, away, queued = (
        image(number, status)
        for number, status in enumerate((ImageStatus.ACTIVE, ImageStatus.DEACTIVATED, ImageStatus.QUEUED))
    )
    for each in (active, away, queued):
        empty.write(lambda tx, new=each: images.add(tx, new))
    migrate.migrate(empty, {"image": MIGRATIONS})
    found = locations.of_images(empty, [active.id, away.id, queued.id])
    assert found == {active.id: local(active), away.id: local(away)}
    # The release before may still run, and writes images without their places.
    late = image(7, ImageStatus.ACTIVE)
    empty.write(lambda tx: images.add(tx, late))
    assert places.of_image(empty, late) == local(late)
    empty.write(lambda tx: places.add(tx, late, "second", late.id))
    assert places.of_image(empty, late) == [*local(late), Location(late.id, 1, "second", late.id, {})]
    assert places.of_image(empty, queued) == []
