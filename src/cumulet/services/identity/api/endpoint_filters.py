# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-EP-FILTER`: which endpoints and groups of endpoints a project's catalogue is limited to."""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import endpoint_groups, endpoints, projects
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.logic import endpoint_filters as logic


def endpoints_of(request: Request) -> Reply:
    found = logic.endpoints_of(request.cloud.db, request.params["project_id"])
    return collection(request, "endpoints", [endpoints.view(request, one) for one in found])


def groups_of(request: Request) -> Reply:
    found = logic.groups_of(request.cloud.db, request.params["project_id"])
    return collection(request, "endpoint_groups", [endpoint_groups.view(request, one) for one in found])


def projects_of_endpoint(request: Request) -> Reply:
    found = logic.projects_of_endpoint(request.cloud.db, request.params["endpoint_id"])
    return collection(request, "projects", projects.views(request, found))


def projects_of_group(request: Request) -> Reply:
    found = logic.projects_of_group(request.cloud.db, request.params["endpoint_group_id"])
    return collection(request, "projects", projects.views(request, found))


def check_endpoint(request: Request) -> Reply:
    logic.check_endpoint(request.cloud.db, request.params["project_id"], request.params["endpoint_id"])
    return Reply(204)


def add_endpoint(request: Request) -> Reply:
    logic.add_endpoint(request.cloud, request.params["project_id"], request.params["endpoint_id"])
    return Reply(204)


def remove_endpoint(request: Request) -> Reply:
    logic.remove_endpoint(request.cloud, request.params["project_id"], request.params["endpoint_id"])
    return Reply(204)


def get_group(request: Request) -> Reply:
    found = logic.get_group(request.cloud.db, request.params["project_id"], request.params["endpoint_group_id"])
    # Keystone's link leaves out where the service is.
    own = f"/OS-EP-FILTER/endpoint_groups/{found.endpoint_group_id}/projects/{found.project_id}"
    shown = {"endpoint_group_id": found.endpoint_group_id, "project_id": found.project_id, "links": {"self": own}}
    return Reply(200, {"project_endpoint_group": shown})


def add_group(request: Request) -> Reply:
    logic.add_group(request.cloud, request.params["project_id"], request.params["endpoint_group_id"])
    return Reply(204)


def remove_group(request: Request) -> Reply:
    logic.remove_group(request.cloud, request.params["project_id"], request.params["endpoint_group_id"])
    return Reply(204)


_BASE = "/OS-EP-FILTER"
_PROJECT = _BASE + "/projects/{project_id}"
_ENDPOINT = _PROJECT + "/endpoints/{endpoint_id}"
_OF_GROUP = _BASE + "/endpoint_groups/{endpoint_group_id}/projects"
_GROUP = _OF_GROUP + "/{project_id}"

ROUTES = (
    Route("GET", _PROJECT + "/endpoints", endpoints_of, "identity:list_endpoints_for_project"),
    Route("GET", _PROJECT + "/endpoint_groups", groups_of, "identity:list_endpoint_groups_for_project"),
    Route(
        "GET", _BASE + "/endpoints/{endpoint_id}/projects", projects_of_endpoint, "identity:list_projects_for_endpoint"
    ),
    Route("GET", _ENDPOINT, check_endpoint, "identity:check_endpoint_in_project"),
    Route("PUT", _ENDPOINT, add_endpoint, "identity:add_endpoint_to_project"),
    Route("DELETE", _ENDPOINT, remove_endpoint, "identity:remove_endpoint_from_project"),
    Route("GET", _OF_GROUP, projects_of_group, "identity:list_projects_associated_with_endpoint_group"),
    Route("GET", _GROUP, get_group, "identity:get_endpoint_group_in_project"),
    Route("PUT", _GROUP, add_group, "identity:add_endpoint_group_to_project"),
    Route("DELETE", _GROUP, remove_group, "identity:remove_endpoint_group_from_project"),
)
