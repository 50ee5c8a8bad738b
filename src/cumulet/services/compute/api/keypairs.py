# SPDX-License-Identifier: Apache-2.0
"""`/os-keypairs`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import keypairs as logic
from cumulet.services.compute.types import Keypair

_RULE = "os_compute_api:os-keypairs"
_NAME = {
    "versions": [
        {
            "allOf": [fields.NAME, {"type": "string", "pattern": r"^[_\- a-zA-Z0-9]+$"}],
            "until": (2, 91),
        },
        {"allOf": [fields.NAME, {"type": "string", "pattern": r"^[_\-\@\. a-zA-Z0-9]+$"}], "since": (2, 92)},
    ]
}
_CREATE = fields.body(
    "keypair",
    {
        "name": _NAME,
        "public_key": {"type": "string"},
        "type": {"type": "string", "enum": ["ssh", "x509"], "since": (2, 2)},
        "user_id": {"type": "string", "since": (2, 10)},
    },
    ["name", {"value": "public_key", "since": (2, 92)}],
)
_USER = {"user_id": {**fields.many({"type": "string"}), "since": (2, 10)}}
_PAGED = {name: {**value, "since": (2, 35)} for name, value in fields.PAGES.items()}
_LIST = fields.query({**_USER, **_PAGED}, closed_since=(2, 75))
_ONE = fields.query(_USER, closed_since=(2, 75))


def find_all(request: Request) -> Reply:
    paged = request.version >= (2, 35)
    limit = common.page_limit(request) if paged else None
    marker = request.query.get("marker") if paged else None
    found = logic.find_all(request.cloud.db, _user(request), marker, limit)
    body: dict[str, Any] = {"keypairs": [{"keypair": _short(request, keypair)} for keypair in found]}
    if limit is not None:
        links = common.next_links(request, found, limit, found[-1].name if found else "")
        if links:
            body["keypairs_links"] = links
    return Reply(200, body)


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, _user(request), request.params["name"])
    view = {
        **_short(request, found),
        "user_id": found.user_id,
        "id": found.id,
        "created_at": common.micro(found.created_at),
        "deleted": False,
        "deleted_at": None,
        "updated_at": None,
    }
    return Reply(200, {"keypair": view})


def create(request: Request) -> Reply:
    body = request.body["keypair"]
    user_id = body.get("user_id") or request.ctx.user_id
    found, private_key = logic.create(
        request.cloud, request.ctx, user_id, body["name"].strip(), body.get("public_key"), body.get("type", logic.SSH)
    )
    view = {**_short(request, found), "user_id": found.user_id}
    if private_key is not None:
        view["private_key"] = private_key
    return Reply(201 if request.version >= (2, 2) else 200, {"keypair": view})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, _user(request), request.params["name"])
    return Reply(204 if request.version >= (2, 2) else 202)


def _user(request: Request) -> str:
    """Whose keypairs are meant: from 2.10 on, administrators may name another user."""
    named = request.query.get("user_id") if request.version >= (2, 10) else None
    return named or request.ctx.user_id


def _target(request: Request) -> Mapping[str, Any]:
    return {"user_id": _user(request), "project_id": request.ctx.project_id}


def _create_target(request: Request) -> Mapping[str, Any]:
    body = request.body if isinstance(request.body, dict) else {}
    keypair = body.get("keypair")
    named = keypair.get("user_id") if isinstance(keypair, dict) and request.version >= (2, 10) else None
    return {"user_id": named or request.ctx.user_id, "project_id": request.ctx.project_id}


def _short(request: Request, keypair: Keypair) -> dict[str, Any]:
    view: dict[str, Any] = {
        "name": keypair.name,
        "public_key": keypair.public_key,
        "fingerprint": keypair.fingerprint,
    }
    if request.version >= (2, 2):
        view["type"] = keypair.type
    return view


ROUTES = (
    Route("GET", "/os-keypairs", find_all, f"{_RULE}:index", query=_LIST, target=_target),
    Route("POST", "/os-keypairs", create, f"{_RULE}:create", body=_CREATE, target=_create_target),
    Route("GET", "/os-keypairs/{name}", get, f"{_RULE}:show", query=_ONE, target=_target),
    Route("DELETE", "/os-keypairs/{name}", delete, f"{_RULE}:delete", query=_ONE, target=_target),
)
