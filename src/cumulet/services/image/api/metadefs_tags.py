# SPDX-License-Identifier: Apache-2.0
"""`/v2/metadefs/namespaces/{namespace}/tags`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import listing, metadefs
from cumulet.services.image.api.metadefs_schemas import TAG, TAGS
from cumulet.services.image.logic import metadefs_namespaces
from cumulet.services.image.logic import metadefs_tags as logic
from cumulet.services.image.logic.metadefs_tags import TagPage
from cumulet.services.image.store.metadefs import TAG_SORT_KEYS
from cumulet.services.image.types import MetadefTag

_PATH = f"{metadefs.PATH}/tags"
_ONE = f"{_PATH}/{{tag_name}}"
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})


def find_all(request: Request) -> Reply:
    metadefs.check_visibility(request, ("public", "private", "shared"))
    limit = request.query.get("limit")
    page = TagPage(
        sort_key=metadefs.sort_key(request, TAG_SORT_KEYS),
        descending=metadefs.descending(request),
        marker=request.query.get("marker"),
        limit=listing.whole(limit, "limit") if limit else None,
    )
    return Reply(200, _names(logic.find_all(request.cloud.db, request.once(metadefs.namespace), page)))


def get(request: Request) -> Reply:
    namespace = request.once(metadefs.namespace)
    return Reply(200, _view(logic.get(request.cloud.db, namespace, request.params["tag_name"])))


def create(request: Request) -> Reply:
    within, name = request.params["namespace"], request.params["tag_name"]
    TAG.check({"name": name})
    (made,) = logic.create(request.cloud, request.ctx, within, [name], keep=True)
    return Reply(201, _view(made))


def create_several(request: Request) -> Reply:
    words = metadefs.body(request, links=False)
    names = [each["name"] for each in words.get("tags", ())]
    for name in names:
        TAG.check({"name": name})
    keep = request.headers.get("x-openstack-append", "").strip().lower() in _TRUE
    return Reply(201, _names(logic.create(request.cloud, request.ctx, request.params["namespace"], names, keep=keep)))


def update(request: Request) -> Reply:
    within, name = request.params["namespace"], request.params["tag_name"]
    words = metadefs.body(request, links=False)
    return Reply(200, _view(logic.rename(request.cloud, request.ctx, within, name, words["name"])))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.ctx, request.params["namespace"], request.params["tag_name"])
    return Reply(204)


def delete_all(request: Request) -> Reply:
    request.require("delete_metadef_namespace", metadefs.target(request))
    metadefs_namespaces.clear(request.cloud, request.ctx, request.params["namespace"], MetadefTag)
    return Reply(204)


def _names(found: list[MetadefTag]) -> dict[str, Any]:
    return {"tags": [{"name": each.name} for each in found]}


def _view(found: MetadefTag) -> dict[str, Any]:
    return {"name": found.name, **metadefs.times(found)}


ROUTES = (
    Route("GET", _PATH, find_all, "get_metadef_tags", target=metadefs.target_of_change),
    Route("POST", _PATH, create_several, "add_metadef_tags", body=TAGS, target=metadefs.target_of_change),
    Route("DELETE", _PATH, delete_all, "delete_metadef_tags", target=metadefs.target_of_change),
    Route("GET", _ONE, get, "get_metadef_tag", target=metadefs.target_of_change),
    Route("POST", _ONE, create, "add_metadef_tag", target=metadefs.target_of_change),
    Route("PUT", _ONE, update, "modify_metadef_tag", body=TAG, target=metadefs.target_of_change),
    Route("DELETE", _ONE, delete, "delete_metadef_tag", target=metadefs.target_of_change),
)
