# SPDX-License-Identifier: Apache-2.0
"""Images, their words and their tags in the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.image.tables import image, property_, tag
from cumulet.services.image.types import Image, ImageStatus, Property, Tag


def find(source: Source, image_id: str) -> Image | None:
    return sql.find(source, image, Image, id=image_id)


def add(tx: Tx, new: Image) -> None:
    sql.add(tx, image, new)


def change(tx: Tx, image_id: str, changes: Mapping[str, Any], *, status: ImageStatus | None = None) -> bool:
    """Change columns of an image, only while it has `status` if one is given; whether there was such an image."""
    query = update(image).where(image.c.id == image_id).values(dict(changes))
    if status is not None:
        query = query.where(image.c.status == status)
    return sql.execute(tx, query) == 1


def remove(tx: Tx, image_id: str) -> bool:
    """Remove an image with all that hangs on it."""
    return sql.execute(tx, delete(image).where(image.c.id == image_id)) == 1


def ids(source: Source) -> set[str]:
    return set(sql.column(source, select(image.c.id)))


def with_status(source: Source, status: ImageStatus) -> list[Image]:
    return sql.rows(source, select(image).where(image.c.status == status), Image)


def with_property(source: Source, name: str) -> set[str]:
    """The ids of the images that have a word of this name."""
    return set(sql.column(source, select(property_.c.image_id).where(property_.c.name == name)))


def properties(source: Source, image_ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """The words on each of the images, in the order of their names."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for each in sql.find_all(source, property_, Property, ("name",), image_id=list(image_ids)):
        found[each.image_id][each.name] = each.value
    return found


def set_properties(tx: Tx, image_id: str, changes: Mapping[str, str | None]) -> None:
    """Write words on an image; None takes one off."""
    if changes:
        named = (property_.c.image_id == image_id) & property_.c.name.in_(list(changes))
        sql.execute(tx, delete(property_).where(named))
        kept = {name: value for name, value in changes.items() if value is not None}
        sql.add(tx, property_, *(Property(image_id, name, value) for name, value in kept.items()))


def tags(source: Source, image_ids: Iterable[str]) -> dict[str, list[str]]:
    """The tags of each of the images, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in sql.find_all(source, tag, Tag, ("value",), image_id=list(image_ids)):
        found[each.image_id].append(each.value)
    return found


def set_tags(tx: Tx, image_id: str, values: Iterable[str]) -> None:
    """Let an image have these tags and no others."""
    sql.execute(tx, delete(tag).where(tag.c.image_id == image_id))
    sql.add(tx, tag, *(Tag(image_id, value) for value in sorted(set(values))))
