# SPDX-License-Identifier: Apache-2.0
"""Limiting a project's catalogue to endpoints and groups of endpoints."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, NotFound
from cumulet.services.identity.logic import endpoint_groups, endpoints, projects, revocations
from cumulet.services.identity.store import endpoint_filters as store
from cumulet.services.identity.store import endpoint_groups as group_store
from cumulet.services.identity.store import endpoints as endpoint_store
from cumulet.services.identity.types import Endpoint, EndpointGroup, Project, ProjectEndpoint, ProjectEndpointGroup


def endpoints_of(source: Source, project_id: str) -> list[Endpoint]:
    """The endpoints that a project's catalogue is limited to; none where it is not limited."""
    projects.get(source, project_id)
    return endpoint_groups.chosen(source, project_id, endpoint_store.find_all(source))


def groups_of(source: Source, project_id: str) -> list[EndpointGroup]:
    projects.get(source, project_id)
    return group_store.of_project(source, project_id)


def projects_of_endpoint(source: Source, endpoint_id: str) -> list[Project]:
    endpoints.get(source, endpoint_id)
    return store.projects_of_endpoint(source, endpoint_id)


def projects_of_group(source: Source, group_id: str) -> list[Project]:
    """The projects that are limited to a group; none where there is no such group."""
    return store.projects_of_group(source, group_id)


def check_endpoint(source: Source, project_id: str, endpoint_id: str) -> None:
    """NotFound unless the project is limited to the endpoint itself."""
    endpoints.get(source, endpoint_id)
    projects.get(source, project_id)
    if store.find_endpoint(source, project_id, endpoint_id) is None:
        raise _no_endpoint(project_id, endpoint_id)


def add_endpoint(cloud: Cloud, project_id: str, endpoint_id: str) -> None:
    def write(tx: Tx) -> None:
        endpoints.get(tx, endpoint_id)
        projects.get(tx, project_id)
        if store.find_endpoint(tx, project_id, endpoint_id) is not None:
            raise _taken("project_endpoint")
        store.add_endpoint(tx, ProjectEndpoint(project_id, endpoint_id))
        revocations.changed(tx)

    cloud.db.write(write)


def remove_endpoint(cloud: Cloud, project_id: str, endpoint_id: str) -> None:
    def write(tx: Tx) -> None:
        if store.find_endpoint(tx, project_id, endpoint_id) is None:
            raise _no_endpoint(project_id, endpoint_id)
        store.remove_endpoint(tx, project_id, endpoint_id)
        revocations.changed(tx)

    cloud.db.write(write)


def get_group(source: Source, project_id: str, group_id: str) -> ProjectEndpointGroup:
    _check_parties(source, project_id, group_id)
    found = store.find_group(source, project_id, group_id)
    if found is None:
        raise NotFound("Endpoint Group Project Association not found")
    return found


def add_group(cloud: Cloud, project_id: str, group_id: str) -> None:
    def write(tx: Tx) -> None:
        _check_parties(tx, project_id, group_id)
        if store.find_group(tx, project_id, group_id) is not None:
            raise _taken("project_endpoint_group")
        store.add_group(tx, ProjectEndpointGroup(project_id, group_id))
        revocations.changed(tx)

    cloud.db.write(write)


def remove_group(cloud: Cloud, project_id: str, group_id: str) -> None:
    def write(tx: Tx) -> None:
        get_group(tx, project_id, group_id)
        store.remove_group(tx, project_id, group_id)
        revocations.changed(tx)

    cloud.db.write(write)


def _check_parties(source: Source, project_id: str, group_id: str) -> None:
    projects.get(source, project_id)
    endpoint_groups.get(source, group_id)


def _no_endpoint(project_id: str, endpoint_id: str) -> CumuletError:
    return NotFound(f"Endpoint {endpoint_id} not found in project {project_id}")


def _taken(kind: str) -> CumuletError:
    return Conflict(f"Conflict occurred attempting to store {kind} - Duplicate entry.")
