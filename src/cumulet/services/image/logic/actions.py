# SPDX-License-Identifier: Apache-2.0
"""Taking an image out of use for a while, and back into it."""

from __future__ import annotations

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden
from cumulet.services.image import events
from cumulet.services.image.logic import access
from cumulet.services.image.store import images
from cumulet.services.image.types import WITH_DATA, ImageStatus


def deactivate(cloud: Cloud, ctx: Context, image_id: str) -> None:
    """Nobody but an administrator may read the data of a deactivated image."""
    _turn(cloud, ctx, image_id, ImageStatus.DEACTIVATED, "deactivate")


def reactivate(cloud: Cloud, ctx: Context, image_id: str) -> None:
    _turn(cloud, ctx, image_id, ImageStatus.ACTIVE, "reactivate")


def _turn(cloud: Cloud, ctx: Context, image_id: str, goal: ImageStatus, verb: str) -> None:
    def write(tx: Tx) -> None:
        found = access.get(tx, ctx, image_id)
        if found.status not in WITH_DATA:
            raise Forbidden(f"Not allowed to {verb} image in status '{found.status}'")
        if found.status != goal:
            images.change(tx, image_id, {"status": goal, "updated_at": clock.utcnow()})
            after = images.find(tx, image_id)
            assert after is not None
            cloud.outbox.publish(tx, events.UPDATE, events.image(access.record(tx, after)), ctx.request_id)

    cloud.db.write(write)
