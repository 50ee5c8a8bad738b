# SPDX-License-Identifier: Apache-2.0
"""`/os-simple-tenant-usage`"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import usage as logic
from cumulet.services.compute.logic.usage import ProjectUsage, ServerUsage

_RULE = "os_compute_api:os-simple-tenant-usage"
_PATH = "/os-simple-tenant-usage"
_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f")
PAGED = (2, 40)
_PAGES = {name: {**value, "since": PAGED} for name, value in fields.PAGES.items()}
_TIMES = {"start": fields.many({"type": "string"}), "end": fields.many({"type": "string"})}
_LIST = fields.query({**_TIMES, "detailed": fields.many({"type": "string"}), **_PAGES}, closed_since=(2, 75))
_SHOW = fields.query({**_TIMES, **_PAGES}, closed_since=(2, 75))


def find_all(request: Request) -> Reply:
    start, stop = _period(request)
    usages, links = _page(request, start, stop, None)
    detailed = _first(request, "detailed") == "1"
    views = [_view(project, start, stop, detailed) for project in logic.by_project(usages)]
    return Reply(200, {"tenant_usages": views, **({"tenant_usages_links": links} if links else {})})


def get(request: Request) -> Reply:
    start, stop = _period(request)
    usages, links = _page(request, start, stop, request.params["owner_id"])
    projects = logic.by_project(usages)
    view = _view(projects[0], start, stop, True) if projects else {}
    return Reply(200, {"tenant_usage": view, **({"tenant_usage_links": links} if links else {})})


def target(request: Request) -> Mapping[str, Any]:
    return {"project_id": request.params["owner_id"]}


def _page(
    request: Request, start: datetime, stop: datetime, project_id: str | None
) -> tuple[list[ServerUsage], list[dict[str, str]]]:
    if request.version < PAGED:
        return logic.within(request.cloud.db, start, stop, project_id, None, None), []
    limit = common.page_limit(request)
    found = logic.within(request.cloud.db, start, stop, project_id, request.query.get("marker"), limit)
    return found, common.next_links(request, found, limit, found[-1].server.id if found else "")


def _period(request: Request) -> tuple[datetime, datetime]:
    """The time asked about; its end is never later than now."""
    now = clock.utcnow()
    start, stop = _moment(request, "start") or now, _moment(request, "end") or now
    if start > stop or (start == stop and _first(request, "start")):
        raise Invalid("Invalid start time. The start time cannot occur after the end time.")
    return start, min(stop, now)


def _moment(request: Request, name: str) -> datetime | None:
    text = _first(request, name)
    if not text:
        return None
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    raise Invalid("Invalid datetime string: Datetime is in invalid format", code="InvalidStrTime")


def _first(request: Request, name: str) -> str | None:
    return next((value for key, value in request.query_pairs if key == name), None)


def _view(project: ProjectUsage, start: datetime, stop: datetime, detailed: bool) -> dict[str, Any]:
    found = {
        "tenant_id": project.project_id,
        "start": common.micro(start),
        "stop": common.micro(stop),
        **project.totals,
    }
    if detailed:
        found["server_usages"] = [_server(each) for each in project.servers]
    return found


def _server(usage: ServerUsage) -> dict[str, Any]:
    server = usage.server
    return {
        "instance_id": server.id,
        "name": server.name,
        "tenant_id": server.project_id,
        "flavor": server.kind.name,
        "vcpus": usage.vcpus,
        "memory_mb": usage.memory,
        "local_gb": usage.disk,
        "hours": usage.hours,
        "uptime": usage.uptime,
        "state": usage.state,
        "started_at": common.micro(server.launched_at),
        "ended_at": common.micro(server.terminated_at),
    }


ROUTES = (
    Route("GET", _PATH, find_all, f"{_RULE}:list", query=_LIST),
    Route("GET", _PATH + "/{owner_id}", get, f"{_RULE}:show", query=_SHOW, target=target),
)
