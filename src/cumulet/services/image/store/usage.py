# SPDX-License-Identifier: Apache-2.0
"""What the images of a project take up."""

from __future__ import annotations

import msgspec
from sqlalchemy import and_, func, or_, select

from cumulet.kernel.db import Source, sql
from cumulet.services.image.tables import image, location, property_
from cumulet.services.image.types import IMPORTING_TO, ImageStatus

_STAGED = (ImageStatus.UPLOADING, ImageStatus.IMPORTING)
_COMING = (ImageStatus.SAVING, *_STAGED)


class Taken(msgspec.Struct, frozen=True):
    """Bytes in all stores, bytes that are staged, how many images there are, and how many are on their way in."""

    size: int
    staged: int
    count: int
    uploading: int


def of_project(source: Source, project_id: str) -> Taken:
    """What the project's images take up; an image that is copied to another store counts as staged as well."""
    mine = image.c.owner == project_id
    copies = select(func.count()).where(location.c.image_id == image.c.id).scalar_subquery()
    copied = image.c.id.in_(
        select(property_.c.image_id).where(and_(property_.c.name == IMPORTING_TO, property_.c.value != ""))
    )
    stored = select(func.sum(image.c.size * copies)).where(mine)
    staged = select(func.sum(image.c.size)).where(mine, or_(image.c.status.in_(_STAGED), copied))
    count = select(func.count()).select_from(image).where(mine)
    uploading = count.where(or_(image.c.status.in_(_COMING), copied))
    return Taken(*(int(sql.scalar(source, query) or 0) for query in (stored, staged, count, uploading)))
