# SPDX-License-Identifier: Apache-2.0
"""`/images`, the image service's by an older name until 2.35; their metadata until 2.38"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import quotas
from cumulet.services.image.contract import ImageContract, ImageInfo, ImageQuery, OlderImages

_UNTIL, _METADATA_UNTIL = (2, 35), (2, 38)
_ONE = "/images/{image_id}"
_WORDS = f"{_ONE}/metadata"
_WORD = _WORDS + "/{key}"
_LIST = fields.query(fields.PAGES)
_BODY = Schema(fields.wrapped("metadata", fields.METADATA))
_ITEM = Schema(fields.wrapped("meta", {**fields.METADATA, "minProperties": 1, "maxProperties": 1}))

_STATUSES = {"active": "ACTIVE", "queued": "SAVING", "saving": "SAVING", "deleted": "DELETED"}
_STATUSES |= {"pending_delete": "DELETED", "killed": "ERROR"}
_PROGRESS = {"queued": 25, "saving": 50, "active": 100}
# Filters that stand for words on images.
_PROPERTIES = {"server": "instance_uuid", "type": "image_type"}
_PREFIX = "property-"
_NUMBER = re.compile(r"[0-9]{1,9}")
_NO_NUMBER = -1  # which no image has


def find_all(request: Request) -> Reply:
    return _listed(request, _basic)


def find_all_detailed(request: Request) -> Reply:
    return _listed(request, view)


def get(request: Request) -> Reply:
    return Reply(200, {"image": view(request, _image(request))})


def delete(request: Request) -> Reply:
    image = _image(request)
    try:
        request.cloud.contracts.use(OlderImages).delete(request.ctx, image.id)
    except Forbidden as error:
        raise Forbidden("You are not allowed to delete the image.") from error
    return Reply(204)


def metadata(request: Request) -> Reply:
    return Reply(200, {"metadata": _image(request).properties})


def metadata_item(request: Request) -> Reply:
    key, found = request.params["key"], _image(request).properties
    if key not in found:
        raise NotFound("The resource could not be found.")
    return Reply(200, {"meta": {key: found[key]}})


def add_metadata(request: Request) -> Reply:
    image = _image(request)
    return Reply(200, {"metadata": _replace(request, image, {**image.properties, **request.body["metadata"]})})


def replace_metadata(request: Request) -> Reply:
    return Reply(200, {"metadata": _replace(request, _image(request), request.body["metadata"])})


def set_metadata_item(request: Request) -> Reply:
    item = request.body["meta"]
    if request.params["key"] not in item:
        raise Invalid("Request body and URI mismatch")
    image = _image(request)
    _replace(request, image, {**image.properties, **item})
    return Reply(200, {"meta": item})


def remove_metadata_item(request: Request) -> Reply:
    key, image = request.params["key"], _image(request)
    if key not in image.properties:
        raise NotFound("Invalid metadata key")
    _replace(request, image, {name: value for name, value in image.properties.items() if name != key})
    return Reply(204)


def view(request: Request, image: ImageInfo) -> dict[str, Any]:
    """An image in full."""
    found = {
        **_basic(request, image),
        "minRam": image.min_ram,
        "minDisk": image.min_disk,
        "metadata": image.properties,
        "created": clock.iso_z(image.created_at),
        "updated": clock.iso_z(image.updated_at),
        "status": _STATUSES.get(image.status, "UNKNOWN"),
        "progress": _PROGRESS.get(image.status, 0),
        "OS-EXT-IMG-SIZE:size": image.size,
    }
    server_id = image.properties.get("instance_uuid")
    if server_id is not None:
        found["server"] = {"id": server_id, "links": common.links(request, "servers", server_id)}
    own_config = image.properties.get("auto_disk_config")
    if own_config is not None:
        found["OS-DCF:diskConfig"] = "AUTO" if fields.as_boolean(own_config) else "MANUAL"
    return found


def _basic(request: Request, image: ImageInfo) -> dict[str, Any]:
    alternate = {
        "rel": "alternate",
        "type": "application/vnd.openstack.image",
        "href": f"{request.cloud.settings.data_url}/image/images/{image.id}",
    }
    return {
        "id": image.id,
        "name": image.name,
        "links": [*common.links(request, "images", image.id), alternate],
    }


def _listed(request: Request, shown: Any) -> Reply:
    limit = common.page_limit(request)
    wanted = _query(request, limit)
    try:
        found = request.cloud.contracts.use(OlderImages).find_all(request.ctx, wanted)
    except Invalid as error:
        raise Invalid(f"HTTP 400 Bad Request: {error.message}") from error
    body: dict[str, Any] = {"images": [shown(request, image) for image in found]}
    links = common.next_links(request, found, limit, found[-1].id if found else "")
    if links:
        body["images_links"] = links
    return Reply(200, body)


def _query(request: Request, limit: int) -> ImageQuery:
    query = request.query
    words = {name.removeprefix(_PREFIX): value for name, value in query.items() if name.startswith(_PREFIX)}
    words |= {word: query[name].rpartition("/")[2] for name, word in _PROPERTIES.items() if name in query}
    return ImageQuery(
        name=query.get("name"),
        status=query["status"].lower() if "status" in query else None,
        min_ram=_number(query.get("minRam")),
        min_disk=_number(query.get("minDisk")),
        changed_since=_changed_since(request),
        properties=words,
        marker=query.get("marker"),
        limit=limit,
    )


def _changed_since(request: Request) -> Any:
    try:
        return common.moment(request, "changes-since")
    except Invalid as error:
        raise Invalid(
            "HTTP 400 Bad Request: Bad &quot;updated_at&quot; query filter format. Use ISO 8601 DateTime notation."
        ) from error


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    return int(text) if _NUMBER.fullmatch(text) else _NO_NUMBER


def _image(request: Request) -> ImageInfo:
    try:
        return request.cloud.contracts.use(ImageContract).get(request.cloud.db, request.ctx, request.params["image_id"])
    except NotFound as error:
        raise NotFound("Image not found.", code="ImageNotFound") from error


def _replace(request: Request, image: ImageInfo, wanted: Mapping[str, str]) -> dict[str, str]:
    quotas.check_metadata(request.cloud, request.cloud.db, request.ctx.project_id or "", len(wanted))
    try:
        found = request.cloud.contracts.use(OlderImages).replace_properties(request.ctx, image.id, wanted)
    except Forbidden as error:
        raise Forbidden(f"Not authorized for image {image.id}.", code="ImageNotAuthorized") from error
    return found.properties


ROUTES = (
    Route("GET", "/images", find_all, ANYONE, query=_LIST, until=_UNTIL),
    Route("GET", "/images/detail", find_all_detailed, ANYONE, query=_LIST, until=_UNTIL),
    Route("GET", _ONE, get, ANYONE, until=_UNTIL),
    Route("DELETE", _ONE, delete, ANYONE, until=_UNTIL),
    Route("GET", _WORDS, metadata, ANYONE, until=_METADATA_UNTIL),
    Route("POST", _WORDS, add_metadata, ANYONE, body=_BODY, until=_METADATA_UNTIL),
    Route("PUT", _WORDS, replace_metadata, ANYONE, body=_BODY, until=_METADATA_UNTIL),
    Route("GET", _WORD, metadata_item, ANYONE, until=_METADATA_UNTIL),
    Route("PUT", _WORD, set_metadata_item, ANYONE, body=_ITEM, until=_METADATA_UNTIL),
    Route("DELETE", _WORD, remove_metadata_item, ANYONE, until=_METADATA_UNTIL),
)
