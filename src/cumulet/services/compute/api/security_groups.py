# SPDX-License-Identifier: Apache-2.0
"""`/os-security-groups` and `/os-security-group-rules`, network's by an older name until 2.35; a server's groups."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.paging import whole_number
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.logic import security_groups as logic
from cumulet.services.network.contract import GroupDetails, GroupRule

_RULE = "os_compute_api:os-security-groups"
_ONE = "/os-security-groups/{group_id}"
_UNTIL = (2, 35)

_TEXT: fields.Fields = {"type": "string", "minLength": 0, "maxLength": 255}
_GROUP_FIELDS = {"name": _TEXT, "description": _TEXT}
_GROUP = Schema(
    {
        "type": "object",
        "properties": {
            "security_group": {"type": "object", "properties": _GROUP_FIELDS, "required": list(_GROUP_FIELDS)}
        },
        "required": ["security_group"],
    }
)
_PORT: fields.Fields = {"type": ["integer", "string", "null"]}
_NEW_RULE = Schema(
    {
        "type": "object",
        "properties": {
            "security_group_rule": {
                "type": "object",
                "properties": {
                    "group_id": {"type": ["string", "null"], "format": "uuid"},
                    "parent_group_id": fields.UUID,
                    "to_port": _PORT,
                    "from_port": _PORT,
                    "ip_protocol": _PORT,
                    "cidr": {"type": ["string", "null"]},
                },
                "required": ["parent_group_id"],
            }
        },
        "required": ["security_group_rule"],
    }
)
_LIST = fields.query(
    {
        "limit": fields.many(fields.COUNT),
        "offset": fields.many(fields.COUNT),
        "all_tenants": fields.many({"type": "string"}),
    }
)
_NOTHING = fields.query({}, closed_since=(2, 102))


def find_all(request: Request) -> Reply:
    everywhere = request.ctx.is_admin and "all_tenants" in request.query
    found = logic.find_all(request.cloud, request.ctx, everywhere=everywhere)
    if not everywhere:
        found = [group for group in found if group.project_id == request.ctx.project_id]
    offset = whole_number(request, "offset") or 0
    return _listed(found[offset : offset + (common.page_limit(request) or common.MOST_ROWS)])


def get(request: Request) -> Reply:
    return _shown(logic.get(request.cloud, request.ctx, _id(request, "group_id")))


def create(request: Request) -> Reply:
    body = request.body["security_group"]
    return _shown(logic.create(request.cloud, request.ctx, body["name"], body["description"]))


def update(request: Request) -> Reply:
    body, group_id = request.body["security_group"], _id(request, "group_id")
    return _shown(logic.change(request.cloud, request.ctx, group_id, body["name"], body["description"]))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.ctx, _id(request, "group_id"))
    return Reply(202)


def create_rule(request: Request) -> Reply:
    body = request.body["security_group_rule"]
    protocol = body.get("ip_protocol")
    parent = logic.get(request.cloud, request.ctx, body["parent_group_id"])
    wanted = logic.rule(
        parent.id,
        None if protocol is None else str(protocol),
        body.get("from_port"),
        body.get("to_port"),
        body.get("cidr"),
        body.get("group_id"),
    )
    return Reply(200, {"security_group_rule": _rule(logic.add_rule(request.cloud, request.ctx, wanted))})


def delete_rule(request: Request) -> Reply:
    logic.delete_rule(request.cloud, request.ctx, _id(request, "rule_id"))
    return Reply(202)


def of_server(request: Request) -> Reply:
    return _listed(logic.of_server(request.cloud, the_server(request)))


def _id(request: Request, name: str) -> str:
    if not ids.is_uuid(request.params[name]):
        raise Invalid("Security group id should be uuid")
    return request.params[name]


def _shown(group: GroupDetails) -> Reply:
    return Reply(200, {"security_group": _view(group)})


def _listed(groups: list[GroupDetails]) -> Reply:
    views = [_view(group) for group in groups]
    return Reply(200, {"security_groups": sorted(views, key=lambda view: (view["tenant_id"], view["name"]))})


def _view(group: GroupDetails) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tenant_id": group.project_id,
        "rules": [_rule(rule) for rule in group.rules],
    }


def _rule(rule: GroupRule) -> dict[str, Any]:
    low, high = logic.shown_range(rule)
    remote = {"name": rule.remote_group_name, "tenant_id": rule.remote_group_project_id}
    return {
        "id": rule.id,
        "parent_group_id": rule.group_id,
        "ip_protocol": rule.protocol,
        "from_port": low,
        "to_port": high,
        "group": remote if rule.remote_group_id else {},
        "ip_range": {} if rule.remote_group_id else {"cidr": rule.remote_cidr or logic.ANYONE},
    }


def _route(method: str, path: str, handler: Any, rule: str, **more: Any) -> Route:
    return Route(method, path, handler, f"{_RULE}:{rule}", until=_UNTIL, **more)


ROUTES = (
    _route("GET", "/os-security-groups", find_all, "get", query=_LIST),
    _route("POST", "/os-security-groups", create, "create", body=_GROUP),
    _route("GET", _ONE, get, "show"),
    _route("PUT", _ONE, update, "update", body=_GROUP),
    _route("DELETE", _ONE, delete, "delete"),
    _route("POST", "/os-security-group-rules", create_rule, "rule:create", body=_NEW_RULE),
    _route("DELETE", "/os-security-group-rules/{rule_id}", delete_rule, "rule:delete"),
    Route(
        "GET",
        "/servers/{server_id}/os-security-groups",
        of_server,
        f"{_RULE}:list",
        query=_NOTHING,
        target=server_target,
    ),
)
