# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/shares`: shared file systems of a server. There are none in this cloud."""

from __future__ import annotations

from typing import NoReturn

from cumulet.kernel.errors import NotFound, Unsupported
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.logic import servers as logic
from cumulet.services.compute.types import VmState

_RULE = "os_compute_api:os-server-shares"
_PATH = "/servers/{server_id}/shares"
_ONE = _PATH + "/{share_id}"
_SINCE = (2, 97)
_TAG: fields.Fields = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-]*$"}
_CREATE = fields.body("share", {"share_id": fields.UUID, "tag": _TAG}, ["share_id"])
_NOTHING = fields.query({}, closed_since=_SINCE)


def find_all(request: Request) -> Reply:
    the_server(request)
    return Reply(200, {"shares": []})


def get(request: Request) -> NoReturn:
    the_server(request)
    raise _not_found(request)


def create(request: Request) -> NoReturn:
    _check_stopped(request, "create share")
    raise Unsupported("Shared file systems cannot be given to servers.")


def delete(request: Request) -> NoReturn:
    _check_stopped(request, "delete share")
    raise _not_found(request)


def _check_stopped(request: Request, verb: str) -> None:
    server = the_server(request)
    if server.state != VmState.STOPPED:
        raise logic.invalid_state(server, verb, "vm_state", server.vm_state)


def _not_found(request: Request) -> NotFound:
    return NotFound(f"Share {request.params['share_id']} could not be found.", code="ShareNotFound")


ROUTES = (
    Route("GET", _PATH, find_all, f"{_RULE}:index", query=_NOTHING, target=server_target, since=_SINCE),
    Route("POST", _PATH, create, f"{_RULE}:create", body=_CREATE, target=server_target, since=_SINCE),
    Route("GET", _ONE, get, f"{_RULE}:show", query=_NOTHING, target=server_target, since=_SINCE),
    Route("DELETE", _ONE, delete, f"{_RULE}:delete", target=server_target, since=_SINCE),
)
