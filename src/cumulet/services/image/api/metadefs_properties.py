# SPDX-License-Identifier: Apache-2.0
"""`/v2/metadefs/namespaces/{namespace}/properties`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import metadefs
from cumulet.services.image.api.metadefs_schemas import PROPERTY
from cumulet.services.image.logic import metadefs_namespaces, metadefs_schemas
from cumulet.services.image.logic import metadefs_properties as logic
from cumulet.services.image.types import MetadefProperty

_PATH = f"{metadefs.PATH}/properties"
_ONE = f"{_PATH}/{{property_name}}"


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, request.once(metadefs.namespace))
    return Reply(200, {"properties": {each.name: each.schema for each in found}})


def get(request: Request) -> Reply:
    namespace, name = request.once(metadefs.namespace), request.params["property_name"]
    resource_type = request.query.get("resource_type")
    if not resource_type:
        return Reply(200, _view(logic.get(request.cloud.db, namespace, name)))
    request.require("get_metadef_resource_type", metadefs_namespaces.target(namespace))
    return Reply(200, _view(logic.get_prefixed(request.cloud.db, namespace, name, resource_type)))


def create(request: Request) -> Reply:
    schema = metadefs_schemas.cleaned_property(metadefs.body(request, links=False))
    return Reply(201, _view(logic.create(request.cloud, request.ctx, request.params["namespace"], schema)))


def update(request: Request) -> Reply:
    schema = metadefs_schemas.cleaned_property(metadefs.body(request, links=False))
    within, name = request.params["namespace"], request.params["property_name"]
    return Reply(200, _view(logic.update(request.cloud, request.ctx, within, name, schema)))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.ctx, request.params["namespace"], request.params["property_name"])
    return Reply(204)


def delete_all(request: Request) -> Reply:
    metadefs_namespaces.clear(request.cloud, request.ctx, request.params["namespace"], MetadefProperty)
    return Reply(204)


def _view(found: MetadefProperty) -> dict[str, Any]:
    return {**found.schema, "name": found.name}


ROUTES = (
    Route("GET", _PATH, find_all, "get_metadef_properties", target=metadefs.target_of_change),
    Route("POST", _PATH, create, "add_metadef_property", body=PROPERTY, target=metadefs.target_of_change),
    Route("DELETE", _PATH, delete_all, "delete_metadef_namespace", target=metadefs.target_of_change),
    Route("GET", _ONE, get, "get_metadef_property", target=metadefs.target_of_change),
    Route("PUT", _ONE, update, "modify_metadef_property", body=PROPERTY, target=metadefs.target_of_change),
    Route("DELETE", _ONE, delete, "remove_metadef_property", target=metadefs.target_of_change),
)
