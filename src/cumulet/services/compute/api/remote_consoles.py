# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/remote-consoles`, the actions of before 2.6, and `/os-console-auth-tokens/{token}`."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.logic import consoles as logic

_ACTION = "/servers/{server_id}/action"
_RULE = "os_compute_api:os-remote-consoles"
_TOKENS_RULE = "os_compute_api:os-console-auth-tokens"
_LAST = (2, 5)
# What is said of consoles that went with Hyper-V.
_MALFORMED = "The server could not comply with the request since it is either malformed or otherwise incorrect."
# Action: protocol, types of clients.
_ACTIONS = {
    "os-getVNCConsole": ("vnc", ["novnc", "xvpvnc"]),
    "os-getSPICEConsole": ("spice", ["spice-html5"]),
    "os-getSerialConsole": ("serial", ["serial"]),
}
_TYPES = ["novnc", "xvpvnc", "spice-html5", "serial", "rdp-html5"]
_BODY = Schema(
    {
        "type": "object",
        "properties": {
            "remote_console": {
                "type": "object",
                "properties": {
                    "protocol": {
                        "versions": [
                            {"type": "string", "enum": ["vnc", "spice", "serial", "rdp"], "until": (2, 7)},
                            {"type": "string", "enum": ["vnc", "spice", "serial", "rdp", "mks"], "since": (2, 8)},
                        ]
                    },
                    "type": {
                        "versions": [
                            {"type": "string", "enum": _TYPES, "until": (2, 7)},
                            {"type": "string", "enum": [*_TYPES, "webmks"], "since": (2, 8), "until": (2, 98)},
                            {"type": "string", "enum": [*_TYPES, "webmks", "spice-direct"], "since": (2, 99)},
                        ]
                    },
                },
                "required": ["protocol", "type"],
                "additionalProperties": False,
            }
        },
        "required": ["remote_console"],
        "additionalProperties": False,
    }
)


def create(request: Request) -> Reply:
    words = request.body["remote_console"]
    protocol, type_ = words["protocol"], words["type"]
    server = the_server(request)
    if protocol == "rdp":
        raise Invalid("Unavailable console type rdp.", code="ConsoleTypeUnavailable")
    url = logic.create(request.cloud, server, protocol, type_)
    return Reply(200, {"remote_console": {"protocol": protocol, "type": type_, "url": url}})


def act(request: Request) -> Reply:
    name = next(iter(request.body))
    protocol, type_ = _ACTIONS[name][0], request.body[name]["type"]
    url = logic.create(request.cloud, the_server(request), protocol, type_)
    return Reply(200, {"console": {"type": type_, "url": url}})


def rdp(_request: Request) -> Reply:
    raise Invalid(_MALFORMED)


def show_token(request: Request) -> Reply:
    """Where a token leads, for proxies that are not this cloud's own."""
    if request.version < (2, 31):
        raise Invalid(
            "The server could not comply with the request since it is either malformed or otherwise incorrect."
        )
    found = logic.find(request.cloud.db, request.params["console_token"])
    console = {
        "instance_uuid": found.server_id,
        "host": found.address,
        "port": found.port,
        "internal_access_path": None,
    }
    return Reply(200, {"console": console})


def _action(name: str, types: list[str]) -> Route:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": types}},
        "required": ["type"],
        "additionalProperties": False,
    }
    body = Schema(fields.wrapped(name, schema))
    return Route("POST", _ACTION, act, _RULE, body=body, action=name, until=_LAST, target=server_target)


ROUTES = (
    Route(
        "POST", "/servers/{server_id}/remote-consoles", create, _RULE, body=_BODY, since=(2, 6), target=server_target
    ),
    *(_action(name, types) for name, (_, types) in _ACTIONS.items()),
    Route("POST", _ACTION, rdp, ANYONE, action="os-getRDPConsole", until=_LAST),
    Route(
        "GET",
        "/os-console-auth-tokens/{console_token}",
        show_token,
        _TOKENS_RULE,
        query=fields.query({}, closed_since=(2, 99)),
    ),
)
