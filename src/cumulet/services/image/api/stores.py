# SPDX-License-Identifier: Apache-2.0
"""`/v2/stores/{store}/{image}`: an image's data in one of its stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Conflict
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import targets
from cumulet.services.image.logic import locations, stores


def delete(request: Request) -> Reply:
    request.require("get_image_location", targets.image(request))
    locations.delete_from(request.cloud, request.params["store_id"], request.params["image_id"])
    return Reply(204)


def _there(request: Request) -> Mapping[str, Any]:
    """The image, in a store that there is."""
    store_id = request.params["store_id"]
    if stores.find(request.cloud, store_id) is None:
        raise Conflict(f"The selected store {store_id} is not available on this node.")
    return targets.image_or("Failed to find image {}")(request)


ROUTES = (Route("DELETE", "/stores/{store_id}/{image_id}", delete, "delete_image_location", target=_there),)
