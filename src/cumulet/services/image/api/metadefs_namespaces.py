# SPDX-License-Identifier: Apache-2.0
"""`/v2/metadefs/namespaces`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import listing, metadefs
from cumulet.services.image.api.metadefs_schemas import NAMESPACE
from cumulet.services.image.api.views import BASE
from cumulet.services.image.logic import metadefs_namespaces as logic
from cumulet.services.image.logic import metadefs_schemas
from cumulet.services.image.logic.metadefs_namespaces import Inside
from cumulet.services.image.store.metadefs_namespaces import SORT_KEYS, NamespacePage
from cumulet.services.image.types import Namespace

_LIST = f"{BASE}/metadefs/namespaces"
# What a new namespace may hold, and the rule for each.
_RULES = {
    "resource_type_associations": "add_metadef_resource_type_association",
    "objects": "add_metadef_object",
    "properties": "add_metadef_property",
    "tags": "add_metadef_tag",
}
# What the caller must also be allowed to see a namespace as a whole.
_SHOWN = ("list_metadef_resource_types", "get_metadef_objects", "get_metadef_properties", "get_metadef_tags")


def find_all(request: Request) -> Reply:
    request.require("list_metadef_resource_types")
    page = _page(request)
    found, associations = logic.find_all(request.cloud, request.ctx, page)
    views = []
    for each in found:
        view = metadefs.namespace_view(each)
        if each.id in associations:
            view["resource_type_associations"] = [metadefs.association_view(one) for one in associations[each.id]]
        views.append(view)
    said: dict[str, Any] = {
        "namespaces": views,
        "first": listing.first_page(request, _LIST),
        "schema": f"{BASE}/schemas/metadefs/namespaces",
    }
    if found and len(found) == page.limit:
        said["next"] = listing.next_page(request, _LIST, found[-1].namespace)
    return Reply(200, said)


def get(request: Request) -> Reply:
    found = request.once(metadefs.namespace)
    for rule in _SHOWN:
        request.require(rule, logic.target(found))
    return Reply(200, _whole(found, logic.inside(request.cloud.db, found), request.query.get("resource_type")))


def create(request: Request) -> Reply:
    words = metadefs_schemas.cleaned(metadefs.body(request))
    for name, rule in _RULES.items():
        if words.get(name):
            request.require(rule)
    made = logic.create(request.cloud, request.ctx, words)
    view = {**metadefs.namespace_view(made), **{name: words[name] for name in _RULES if name in words}}
    return Reply(201, view, {"Location": f"{request.root_url}{_LIST}/{made.namespace}"})


def update(request: Request) -> Reply:
    words = metadefs_schemas.cleaned(metadefs.body(request))
    changed = logic.update(request.cloud, request.ctx, request.params["namespace"], words)
    return Reply(200, metadefs.namespace_view(changed))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.ctx, request.params["namespace"])
    return Reply(204)


def _page(request: Request) -> NamespacePage:
    query = request.query
    limit = listing.whole(query.get("limit", str(listing.DEFAULT_LIMIT)), "limit")
    types = query.get("resource_types")
    marker = query.get("marker")
    return NamespacePage(
        project_id=request.ctx.project_id,
        everywhere=request.ctx.is_admin,
        visibility=metadefs.check_visibility(request, ("public", "private")),
        resource_types=None if types is None else tuple(types.split(",")),
        sort_key=metadefs.sort_key(request, SORT_KEYS),
        descending=metadefs.descending(request),
        marker=logic.get(request.cloud, request.cloud.db, request.ctx, marker) if marker else None,
        limit=min(limit, listing.LARGEST_LIMIT),
    )


def _whole(found: Namespace, inside: Inside, resource_type: str | None) -> dict[str, Any]:
    """A namespace with what is in it; names of properties with the prefix that things of `resource_type` have them."""
    prefix = next((each.prefix for each in inside.associations if each.name == resource_type), None) or ""
    objects = [metadefs.object_view(found.namespace, each) for each in inside.objects]
    for each in objects:
        each["properties"] = {prefix + name: schema for name, schema in each["properties"].items()}
        each["required"] = [prefix + name for name in each["required"]]
    parts = {
        "objects": objects,
        "resource_type_associations": [metadefs.association_view(each) for each in inside.associations],
        "properties": {prefix + each.name: each.schema for each in inside.properties},
        "tags": [{"name": each.name} for each in inside.tags],
    }
    return {**metadefs.namespace_view(found), **{name: part for name, part in parts.items() if part}}


ROUTES = (
    Route("GET", "/metadefs/namespaces", find_all, "get_metadef_namespaces"),
    Route("POST", "/metadefs/namespaces", create, "add_metadef_namespace", body=NAMESPACE),
    Route("GET", metadefs.PATH, get, "get_metadef_namespace", target=metadefs.target),
    Route(
        "PUT",
        metadefs.PATH,
        update,
        "modify_metadef_namespace",
        body=NAMESPACE,
        target=metadefs.target_of_change,
    ),
    Route("DELETE", metadefs.PATH, delete, "delete_metadef_namespace", target=metadefs.target_of_change),
)
