# SPDX-License-Identifier: Apache-2.0
"""Where images' data are, in the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.image.tables import location
from cumulet.services.image.types import Location


def of_images(source: Source, image_ids: Iterable[str]) -> dict[str, list[Location]]:
    """The locations of each of the images, in their order."""
    found: dict[str, list[Location]] = defaultdict(list)
    for each in sql.find_all(source, location, Location, ("position",), image_id=list(image_ids)):
        found[each.image_id].append(each)
    return found


def replace(tx: Tx, image_id: str, wanted: Iterable[Location]) -> None:
    """Let an image have these locations and no others, in this order."""
    sql.execute(tx, delete(location).where(location.c.image_id == image_id))
    sql.add(
        tx,
        location,
        *(Location(image_id, position, each.store, each.key, each.metadata) for position, each in enumerate(wanted)),
    )


def users(source: Source, store: str, key: str) -> list[str]:
    """The images whose data are under `key` of a store."""
    query = select(location.c.image_id).where(location.c.store == store, location.c.key == key)
    return list(sql.column(source, query))


def keys(source: Source, store: str) -> set[str]:
    """Every name that images' data have in a store."""
    return set(sql.column(source, select(location.c.key).where(location.c.store == store)))
