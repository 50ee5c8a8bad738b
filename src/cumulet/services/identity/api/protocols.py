# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api.identity_providers import PATH
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.api.views import base_url, body
from cumulet.services.identity.logic import protocols as logic
from cumulet.services.identity.types import Protocol

_MAPPING_ID = {"type": "string", "minLength": 1, "maxLength": 64}
_REMOTE_ID = {"type": "string", "maxLength": 64}
_CREATE = body(
    "protocol",
    {"mapping_id": _MAPPING_ID, "remote_id_attribute": {**_REMOTE_ID, "type": ["string", "null"]}},
    required=("mapping_id",),
    additionalProperties=False,
)
_UPDATE = body(
    "protocol",
    {"mapping_id": _MAPPING_ID, "remote_id_attribute": _REMOTE_ID},
    required=("mapping_id",),
    least=1,
    additionalProperties=False,
)


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, request.params["idp_id"])
    shown = [
        {**view(request, one), "idp_id": one.idp_id, "remote_id_attribute": one.remote_id_attribute} for one in found
    ]
    return collection(request, "protocols", shown)


def get(request: Request) -> Reply:
    return _one(request, 200, logic.get(request.cloud.db, *_named(request)))


def create(request: Request) -> Reply:
    return _one(request, 201, logic.create(request.cloud, *_named(request), request.body["protocol"]))


def update(request: Request) -> Reply:
    return _one(request, 200, logic.update(request.cloud, *_named(request), request.body["protocol"]))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, *_named(request))
    return Reply(204)


def view(request: Request, protocol: Protocol) -> dict[str, Any]:
    """With the links that Keystone gives, which lead to nothing."""
    base = base_url(request)
    links = {"self": f"{base}/protocols/{protocol.id}", "identity_provider": f"{base}/{protocol.idp_id}"}
    return {"id": protocol.id, "mapping_id": protocol.mapping_id, "links": links}


def _named(request: Request) -> tuple[str, str]:
    return request.params["idp_id"], request.params["protocol_id"]


def _one(request: Request, status: int, protocol: Protocol) -> Reply:
    return Reply(status, {"protocol": view(request, protocol)})


_ALL = f"/{PATH}/{{idp_id}}/protocols"
_ONE = f"{_ALL}/{{protocol_id}}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_protocols"),
    Route("GET", _ONE, get, "identity:get_protocol"),
    Route("PUT", _ONE, create, "identity:create_protocol", body=_CREATE),
    Route("PATCH", _ONE, update, "identity:update_protocol", body=_UPDATE),
    Route("DELETE", _ONE, delete, "identity:delete_protocol"),
)
