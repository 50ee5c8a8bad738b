# SPDX-License-Identifier: Apache-2.0
"""`/v2/images`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.services.image.api import listing, patch, targets, views
from cumulet.services.image.api.schemas import of_images
from cumulet.services.image.logic import access, changes, images, imports, protection, quotas, stores
from cumulet.services.image.logic.images import Wish
from cumulet.services.image.types import Record

# Words of a new image that only the service writes: the first ones are refused before, the others after the schema.
_READ_ONLY_FIRST = ("direct_url", "self", "file", "schema", "stores")
_READ_ONLY = (
    *("created_at", "updated_at", "status", "checksum", "size", "virtual_size", "os_hash_algo", "os_hash_value"),
)
_FIELDS = (
    *("id", "name", "visibility", "disk_format", "container_format", "min_disk", "min_ram", "protected", "os_hidden"),
)


def find_all(request: Request) -> Reply:
    if request.path.endswith("/"):
        return no_image(request)
    found, more = images.find_all(request.cloud, request.ctx, listing.search(request))
    last = found[-1].image if more else None
    return Reply(200, listing.body(request, [views.image(each, request) for each in found], last))


def get(request: Request) -> Reply:
    return Reply(200, views.image(images.get(request.cloud.db, request.ctx, request.params["image_id"]), request))


def create(request: Request) -> Reply:
    wish = _wish(request)
    cloud, ctx = request.cloud, request.ctx
    images.check_create(cloud, ctx, wish.owner, wish.visibility)
    protection.require(cloud, ctx, "create", wish.properties)
    made = cloud.db.write(lambda tx: _make(cloud, tx, ctx, wish))
    headers = {
        "Location": f"{request.url}/{made.image.id}",
        "OpenStack-image-import-methods": ",".join(imports.methods(cloud)),
        "OpenStack-image-store-ids": ",".join(store.id for store in stores.find_all(cloud)),
    }
    return Reply(201, views.image(made, request), headers)


def update(request: Request) -> Reply:
    changed = changes.update(request.cloud, request.ctx, request.params["image_id"], patch.parse(request))
    return Reply(200, views.image(changed, request))


def delete(request: Request) -> Reply:
    images.delete(request.cloud, request.ctx, request.params["image_id"])
    return Reply(204)


def no_image(request: Request) -> Reply:
    """`/images/` asks for an image whose id is empty, not for the list."""
    raise NotFound("The resource could not be found.")


def _make(cloud: Cloud, tx: Tx, ctx: Context, wish: Wish) -> Record:
    quotas.enforce_new(cloud, tx, ctx.project_id)
    return images.create(cloud, tx, wish, ctx.request_id)


def _wish(request: Request) -> Wish:
    body = _body(request)
    for name in _READ_ONLY_FIRST:
        if name in body:
            raise Forbidden(f"Attribute '{name}' is read-only.")
    of_images(request.cloud).whole.check(body)
    for name in _READ_ONLY:
        if name in body:
            raise Forbidden(f"Attribute '{name}' is read-only.")
    if "locations" in body:
        raise Forbidden("Attribute 'locations' is reserved.")
    known = {*_FIELDS, "owner", "tags"}
    properties = {name: value for name, value in body.items() if name not in known}
    for name in properties:
        patch.check_writable(name)
    return Wish(
        **{name: body[name] for name in _FIELDS if name in body},
        owner=body.get("owner", request.ctx.project_id),
        properties=properties,
        tags=tuple(body.get("tags", ())),
    )


def _body(request: Request) -> Any:
    if not request.raw:
        raise Invalid("Body expected in request.", code="MissingBody")
    if not isinstance(request.body, (dict, list)):
        raise Invalid("Unexpected body type. Expected list/dict.")
    return request.body


def _proposed(request: Request) -> Mapping[str, Any]:
    """What the rule `add_image` is judged on: the image that the body describes."""
    body = request.body if isinstance(request.body, dict) else {}
    owner = body.get("owner", request.ctx.project_id)
    target = {"project_id": owner, "owner": owner, "visibility": body.get("visibility", "private")}
    if owner != request.ctx.project_id and not request.allows("add_image", target):
        raise Forbidden(f"You are not permitted to create images owned by '{owner}'", code=access.DENIED)
    return target


ROUTES = (
    Route("GET", "/images", find_all, "get_images"),
    Route("POST", "/images", create, "add_image", target=_proposed),
    Route("DELETE", "/images", no_image, ANYONE),
    Route("GET", "/images/{image_id}", get, "get_image", target=targets.image),
    Route("PATCH", "/images/{image_id}", update, "modify_image", target=targets.image, slow=True),  # of locations
    Route(
        "DELETE",
        "/images/{image_id}",
        delete,
        "delete_image",
        target=targets.image_or("Failed to find image {} to delete"),
    ),
)
