# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/locations`: where stores keep the data; nobody but services may ask, and nothing may be added."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, Forbidden, Unsupported
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import targets, views
from cumulet.services.image.logic import access, locations
from cumulet.services.image.types import ImageStatus


def find_all(request: Request) -> Reply:
    image = access.get(request.cloud.db, request.ctx, request.params["image_id"])
    found = locations.of_image(request.cloud.db, image)
    return Reply(200, [views.location(each, request.cloud) for each in found])


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
