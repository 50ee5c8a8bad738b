# SPDX-License-Identifier: Apache-2.0
"""`/v2/metadefs/namespaces/{namespace}/objects`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import listing, metadefs
from cumulet.services.image.api.metadefs_schemas import NAMELESS_PROPERTY, OBJECT
from cumulet.services.image.logic import metadefs_namespaces, metadefs_schemas
from cumulet.services.image.logic import metadefs_objects as logic
from cumulet.services.image.types import MetadefObject

_PATH = f"{metadefs.PATH}/objects"
_ONE = f"{_PATH}/{{object_name}}"


def find_all(request: Request) -> Reply:
    """All objects; Glance checks what is asked of the page, and answers without pages."""
    _check_query(request)
    namespace = request.once(metadefs.namespace)
    found: list[MetadefObject] = []
    if request.allows("get_metadef_object", metadefs_namespaces.target(namespace)):
        found = logic.find_all(request.cloud.db, namespace)
    views = [metadefs.object_view(namespace.namespace, each) for each in found]
    return Reply(200, {"objects": views, "schema": "v2/schemas/metadefs/objects"})


def get(request: Request) -> Reply:
    namespace = request.once(metadefs.namespace)
    found = logic.get(request.cloud.db, namespace, request.params["object_name"])
    return Reply(200, metadefs.object_view(namespace.namespace, found))


def create(request: Request) -> Reply:
    words = metadefs.body(request)
    for schema in words.get("properties", {}).values():
        NAMELESS_PROPERTY.check(schema)
    within = request.params["namespace"]
    made = logic.create(request.cloud, request.ctx, within, metadefs_schemas.cleaned_object(words))
    return Reply(201, _said(words, metadefs.object_view(within, made)))


def update(request: Request) -> Reply:
    words = metadefs.body(request)
    within, name = request.params["namespace"], request.params["object_name"]
    changed = logic.update(request.cloud, request.ctx, within, name, metadefs_schemas.cleaned_object(words))
    return Reply(200, _said(words, metadefs.object_view(within, changed)))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.ctx, request.params["namespace"], request.params["object_name"])
    return Reply(204)


def delete_all(request: Request) -> Reply:
    metadefs_namespaces.clear(request.cloud, request.ctx, request.params["namespace"], MetadefObject)
    return Reply(204)


def _check_query(request: Request) -> None:
    metadefs.descending(request)
    metadefs.check_visibility(request, ("public", "private", "shared"))
    if "limit" in request.query and listing.whole(request.query["limit"], "limit") == 0:
        raise Invalid("limit param must be positive")


def _said(words: Mapping[str, Any], view: dict[str, Any]) -> dict[str, Any]:
    """The object without what the request has left out."""
    return {name: value for name, value in view.items() if name in words or name not in ("required", "properties")}


ROUTES = (
    Route("GET", _PATH, find_all, "get_metadef_objects", target=metadefs.target),
    Route("POST", _PATH, create, "add_metadef_object", body=OBJECT, target=metadefs.target),
    Route("DELETE", _PATH, delete_all, "delete_metadef_namespace", target=metadefs.target_of_change),
    Route("GET", _ONE, get, "get_metadef_object", target=metadefs.target),
    Route("PUT", _ONE, update, "modify_metadef_object", body=OBJECT, target=metadefs.target),
    Route("DELETE", _ONE, delete, "delete_metadef_object", target=metadefs.target),
)
