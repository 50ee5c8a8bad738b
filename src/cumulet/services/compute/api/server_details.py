# SPDX-License-Identifier: Apache-2.0
"""What stands below a server: metadata, tags, actions."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.api.server_views import host_id
from cumulet.services.compute.logic import actions
from cumulet.services.compute.logic import servers as logic
from cumulet.services.compute.types import Action, ActionEvent

_SERVER = "/servers/{server_id}"
_HISTORY = f"{_SERVER}/os-instance-actions"
_META, _TAGS = "os_compute_api:server-metadata", "os_compute_api:os-server-tags"
_ACTIONS = "os_compute_api:os-instance-actions"
_METADATA_BODY = Schema(fields.wrapped("metadata", fields.METADATA))
_ITEM_BODY = Schema(fields.wrapped("meta", {**fields.METADATA, "minProperties": 1, "maxProperties": 1}))
_TAGS_BODY = Schema(fields.wrapped("tags", {"type": "array", "items": fields.TAG, "maxItems": logic.MOST_TAGS}))
_ACTION_LIST = fields.query(
    {
        "limit": {**fields.PAGES["limit"], "since": (2, 58)},
        "marker": {**fields.PAGES["marker"], "since": (2, 58)},
        "changes-since": {**fields.many({"type": "string", "format": "date-time"}), "since": (2, 58)},
        "changes-before": {**fields.many({"type": "string", "format": "date-time"}), "since": (2, 66)},
    },
    closed_since=(2, 58),
)


def metadata(request: Request) -> Reply:
    return Reply(200, {"metadata": the_server(request).metadata})


def metadata_item(request: Request) -> Reply:
    key = request.params["key"]
    found = the_server(request).metadata
    if key not in found:
        raise NotFound("Metadata item was not found")
    return Reply(200, {"meta": {key: found[key]}})


def add_metadata(request: Request) -> Reply:
    return _set_metadata(request, request.body["metadata"], replace=False)


def replace_metadata(request: Request) -> Reply:
    return _set_metadata(request, request.body["metadata"], replace=True)


def set_metadata_item(request: Request) -> Reply:
    item = request.body["meta"]
    if request.params["key"] not in item:
        raise Invalid("Request body and URI mismatch")
    _set_metadata(request, item, replace=False)
    return Reply(200, {"meta": item})


def remove_metadata_item(request: Request) -> Reply:
    server = the_server(request)
    logic.check_unlocked(request.ctx, server)
    logic.remove_metadata(request.cloud, request.ctx, server, request.params["key"])
    return Reply(204)


def tags(request: Request) -> Reply:
    return Reply(200, {"tags": _tags(request)})


def has_tag(request: Request) -> Reply:
    _check_tag(request, "Server")
    return Reply(204)


def replace_tags(request: Request) -> Reply:
    return Reply(200, {"tags": logic.set_tags(request.cloud, request.ctx, the_server(request), request.body["tags"])})


def add_tag(request: Request) -> Reply:
    tag, present = request.params["tag"], _tags(request)
    if not 1 <= len(tag) <= 60 or "," in tag:
        said = f"'{tag}' does not match '{fields.TAG['pattern']}'" if "," in tag else f"'{tag}' is too long"
        raise Invalid(
            f"Tag '{tag}' is invalid. It must be a non empty string without characters '/' and ','. "
            f"Validation error message: {said}"
        )
    if tag in present:
        return Reply(204)
    logic.set_tags(request.cloud, request.ctx, the_server(request), [*present, tag])
    server_id = request.params["server_id"]
    return Reply(201, headers={"Location": common.self_link(request, "servers", f"{server_id}/tags/{quote(tag)}")})


def remove_tag(request: Request) -> Reply:
    present = _check_tag(request, "Instance")
    left = [each for each in present if each != request.params["tag"]]
    logic.set_tags(request.cloud, request.ctx, the_server(request), left)
    return Reply(204)


def remove_tags(request: Request) -> Reply:
    logic.set_tags(request.cloud, request.ctx, the_server(request), [])
    return Reply(204)


def find_actions(request: Request) -> Reply:
    server_id = request.params["server_id"]
    paged = request.version >= (2, 58)
    limit = common.page_limit(request) if paged else None
    since = common.moment(request, "changes-since") if paged else None
    before = common.moment(request, "changes-before") if request.version >= (2, 66) else None
    if since is not None and before is not None and before < since:
        raise Invalid("The value of changes-since must be less than or equal to changes-before.")
    found = actions.find_all(
        request.cloud.db,
        server_id,
        marker=request.query.get("marker") if paged else None,
        limit=limit,
        since=since,
        before=before,
    )
    body: dict[str, Any] = {"instanceActions": [_action(request, action) for action in found]}
    if limit is not None:
        links = common.next_links(request, found, limit, found[-1].request_id if found else "")
        if links:
            body["links"] = links
    return Reply(200, body)


def get_action(request: Request) -> Reply:
    server = common.server_or_gone(request)
    action, events = actions.get(request.cloud.db, server.id, request.params["request_id"])
    view = _action(request, action)
    target = {"project_id": server.project_id}
    shows_all = request.allows(f"{_ACTIONS}:events", target)
    shows_details = request.version >= (2, 84) and request.allows(f"{_ACTIONS}:events:details", target)
    if shows_all or request.version >= (2, 51):
        view["events"] = [_event(request, event, server.project_id, shows_all, shows_details) for event in events]
    return Reply(200, {"instanceAction": view})


def _set_metadata(request: Request, items: dict[str, str], *, replace: bool) -> Reply:
    server = the_server(request)
    logic.check_unlocked(request.ctx, server)
    found = logic.set_metadata(request.cloud, request.ctx, server, items, replace=replace)
    return Reply(200, {"metadata": found})


def _tags(request: Request) -> list[str]:
    server = the_server(request)
    return logic.tags_of(request.cloud.db, [server.id]).get(server.id, [])


def _check_tag(request: Request, what: str) -> list[str]:
    """All tags; NotFound without the one of the path, in which Nova calls the server by the name `what`."""
    present, tag = _tags(request), request.params["tag"]
    if tag not in present:
        raise NotFound(f"{what} {request.params['server_id']} has no tag '{tag}'")
    return present


def _action(request: Request, action: Action) -> dict[str, Any]:
    view: dict[str, Any] = {
        "action": action.action,
        "instance_uuid": action.server_id,
        "request_id": action.request_id,
        "user_id": action.user_id,
        "project_id": action.project_id,
        "start_time": common.micro(action.start_time),
        "message": action.message,
    }
    if request.version >= (2, 58):
        view["updated_at"] = common.micro(action.updated_at)
    return view


def _event(
    request: Request, event: ActionEvent, project_id: str, shows_all: bool, shows_details: bool
) -> dict[str, Any]:
    view: dict[str, Any] = {
        "event": event.event,
        "start_time": common.micro(event.start_time),
        "finish_time": common.micro(event.finish_time),
        "result": event.result,
    }
    if shows_all:
        view["traceback"] = None
    if request.version >= (2, 62):
        view["hostId"] = host_id(project_id, event.host)
        if shows_all:
            view["host"] = event.host
    if shows_details:
        view["details"] = event.details
    return view


def _server_route(method: str, path: str, handler: Any, rule: str, **more: Any) -> Route:
    return Route(method, _SERVER + path, handler, rule, target=server_target, **more)


ROUTES = (
    _server_route("GET", "/metadata", metadata, f"{_META}:index"),
    _server_route("POST", "/metadata", add_metadata, f"{_META}:create", body=_METADATA_BODY),
    _server_route("PUT", "/metadata", replace_metadata, f"{_META}:update_all", body=_METADATA_BODY),
    _server_route("GET", "/metadata/{key}", metadata_item, f"{_META}:show"),
    _server_route("PUT", "/metadata/{key}", set_metadata_item, f"{_META}:update", body=_ITEM_BODY),
    _server_route("DELETE", "/metadata/{key}", remove_metadata_item, f"{_META}:delete"),
    _server_route("GET", "/tags", tags, f"{_TAGS}:index", since=(2, 26)),
    _server_route("PUT", "/tags", replace_tags, f"{_TAGS}:update_all", body=_TAGS_BODY, since=(2, 26)),
    _server_route("DELETE", "/tags", remove_tags, f"{_TAGS}:delete_all", since=(2, 26)),
    _server_route("GET", "/tags/{tag}", has_tag, f"{_TAGS}:show", since=(2, 26)),
    _server_route("PUT", "/tags/{tag}", add_tag, f"{_TAGS}:update", since=(2, 26)),
    _server_route("DELETE", "/tags/{tag}", remove_tag, f"{_TAGS}:delete", since=(2, 26)),
    Route("GET", _HISTORY, find_actions, f"{_ACTIONS}:list", query=_ACTION_LIST, target=common.history_target),
    Route("GET", _HISTORY + "/{request_id}", get_action, f"{_ACTIONS}:show", target=common.history_target),
)
