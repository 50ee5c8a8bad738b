# SPDX-License-Identifier: Apache-2.0
"""`/v2/metadefs/resource_types` and `/v2/metadefs/namespaces/{namespace}/resource_types`"""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import metadefs
from cumulet.services.image.api.metadefs_schemas import RESOURCE_TYPE
from cumulet.services.image.logic import metadefs_namespaces
from cumulet.services.image.logic import metadefs_resource_types as logic
from cumulet.services.image.types import Association

_PATH = f"{metadefs.PATH}/resource_types"


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db)
    return Reply(200, {"resource_types": [{"name": each.name, **metadefs.times(each)} for each in found]})


def of_namespace(request: Request) -> Reply:
    namespace = request.once(metadefs.namespace)
    found: list[Association] = []
    if request.allows("get_metadef_resource_type", metadefs_namespaces.target(namespace)):
        found = logic.of_namespace(request.cloud.db, namespace)
    return Reply(200, {"resource_type_associations": [metadefs.association_view(each) for each in found]})


def create(request: Request) -> Reply:
    words = metadefs.body(request, links=False)
    made = logic.create(request.cloud, request.ctx, request.params["namespace"], words)
    return Reply(201, metadefs.association_view(made))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.ctx, request.params["namespace"], request.params["resource_type"])
    return Reply(204)


ROUTES = (
    Route("GET", "/metadefs/resource_types", find_all, "list_metadef_resource_types"),
    Route("GET", _PATH, of_namespace, "list_metadef_resource_types", target=metadefs.target_of_change),
    Route(
        "POST",
        _PATH,
        create,
        "add_metadef_resource_type_association",
        body=RESOURCE_TYPE,
        target=metadefs.target_of_change,
    ),
    Route(
        "DELETE",
        f"{_PATH}/{{resource_type}}",
        delete,
        "remove_metadef_resource_type_association",
        target=metadefs.target_of_change,
    ),
)
