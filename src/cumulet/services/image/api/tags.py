# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/tags`"""

from __future__ import annotations

from cumulet.kernel.errors import NotFound, TooLarge
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import targets
from cumulet.services.image.api.schemas import of_images
from cumulet.services.image.logic import changes

_TARGET = targets.image_or("Image {} not found.")


def put(request: Request) -> Reply:
    image_id, value = request.params["image_id"], request.params["value"]
    of_images(request.cloud).part.check({"tags": [value]})
    try:
        changes.set_tag(request.cloud, request.ctx, image_id, value)
    except TooLarge as error:
        raise TooLarge(f"Image tag limit exceeded for image {image_id}: {error.message}:") from None
    return Reply(204)


def delete(request: Request) -> Reply:
    if not changes.remove_tag(request.cloud, request.ctx, request.params["image_id"], request.params["value"]):
        raise NotFound("The resource could not be found.")
    return Reply(204)


ROUTES = (
    Route("PUT", "/images/{image_id}/tags/{value}", put, "modify_image", target=_TARGET),
    Route("DELETE", "/images/{image_id}/tags/{value}", delete, "modify_image", target=_TARGET),
)
