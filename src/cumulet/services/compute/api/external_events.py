# SPDX-License-Identifier: Apache-2.0
"""`/os-server-external-events`: news of servers from other services"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.logic import servers as logic

_PORTS = ["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted"]
_ADDED = (
    ("volume-extended", (2, 51)),
    ("power-update", (2, 76)),
    ("accelerator-request-bound", (2, 82)),
    ("volume-reimaged", (2, 93)),
)
_TAGGED = frozenset({"volume-extended", "power-update", "accelerator-request-bound"})
_EVENT: fields.Fields = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "enum": [*_PORTS, *({"value": name, "since": since} for name, since in _ADDED)]},
        "server_uuid": fields.UUID,
        "status": {"type": "string", "enum": ["failed", "completed", "in-progress"]},
        "tag": {"type": "string", "maxLength": 255},
    },
    "required": ["name", "server_uuid"],
    "additionalProperties": False,
}
_CREATE = Schema(fields.wrapped("events", {"type": "array", "minItems": 1, "items": _EVENT}))


def create(request: Request) -> Reply:
    """Take note of events. Services of this cloud tell compute by contract; foreign ones lose nothing by an answer."""
    answers = [_answer(request, event) for event in request.body["events"]]
    status = 200 if all(answer["code"] == 200 for answer in answers) else 207
    return Reply(status, {"events": answers})


def _answer(request: Request, event: dict[str, Any]) -> dict[str, Any]:
    server = logic.find(request.cloud.db, event["server_uuid"])
    if server is None:
        code = 404
    elif event["name"] in _TAGGED and "tag" not in event:
        code = 400
    else:
        code = 200 if server.host else 422
    return {**event, "status": "completed" if code == 200 else "failed", "code": code}


ROUTES = (
    Route(
        "POST",
        "/os-server-external-events",
        create,
        "os_compute_api:os-server-external-events:create",
        body=_CREATE,
    ),
)
