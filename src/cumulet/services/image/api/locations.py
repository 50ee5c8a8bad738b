# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/locations`: where stores keep the data; nobody but services may ask, and nothing may be added."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, Forbidden, Unsupported
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import targets
from cumulet.services.image.logic import access
from cumulet.services.image.types import WITH_DATA, ImageStatus


def find_all(request: Request) -> Reply:
    image = access.get(request.cloud.db, request.ctx, request.params["image_id"])
    there = [{"url": f"cumulet://images/{image.id}", "metadata": {}}] if image.status in WITH_DATA else []
    return Reply(200, there)


def add(request: Request) -> Reply:
    image = access.get(request.cloud.db, request.ctx, request.params["image_id"])
    if image.status != ImageStatus.QUEUED:
        raise Conflict(f"It's not allowed to add locations if image status is {image.status}.")
    if "service" not in request.ctx.roles and not request.ctx.is_service:
        raise Forbidden("http store must be enabled to use location API by normal user.")
    raise Unsupported("Data that are already in a store cannot be registered yet.")


ROUTES = (
    Route("GET", "/images/{image_id}/locations", find_all, "fetch_image_location", target=targets.image),
    Route("POST", "/images/{image_id}/locations", add, "add_image_location", target=targets.image),
)
