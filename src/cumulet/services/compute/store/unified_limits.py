# SPDX-License-Identifier: Apache-2.0
"""What projects' servers count for, as far as placement does not know it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from cumulet.kernel.db import Source, sql
from cumulet.services.compute.tables import server
from cumulet.services.compute.types import VmState


def count_servers(source: Source, project_id: str) -> int:
    """The project's servers; what is deleted, for good or not, does not count."""
    alive = (server.c.project_id == project_id, server.c.deleted_at.is_(None))
    return int(sql.scalar(source, select(func.count()).where(*alive, server.c.vm_state != VmState.SOFT_DELETED.value)))


def without_host(source: Source, project_id: str) -> list[tuple[dict[str, Any], dict[str, Any], str]]:
    """Flavor, image and the image's id of the project's servers that are being built and have no host yet."""
    query = select(server.c.flavor, server.c.image, server.c.image_id).where(
        server.c.project_id == project_id,
        server.c.deleted_at.is_(None),
        server.c.vm_state == VmState.BUILDING.value,
        server.c.host == "",
    )
    return [(row[0], row[1], row[2]) for row in sql.tuples(source, query)]
