# SPDX-License-Identifier: Apache-2.0
"""Which endpoints and groups of endpoints projects are limited to, in the database."""

from __future__ import annotations

from sqlalchemy import Table, delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import project, project_endpoint, project_endpoint_group
from cumulet.services.identity.types import Project, ProjectEndpoint, ProjectEndpointGroup


def endpoint_ids(source: Source, project_id: str) -> list[str]:
    """The ids of the endpoints that a project is associated with itself."""
    query = select(project_endpoint.c.endpoint_id).where(project_endpoint.c.project_id == project_id)
    return sql.column(source, query)


def find_endpoint(source: Source, project_id: str, endpoint_id: str) -> ProjectEndpoint | None:
    return sql.find(source, project_endpoint, ProjectEndpoint, project_id=project_id, endpoint_id=endpoint_id)


def add_endpoint(tx: Tx, new: ProjectEndpoint) -> None:
    sql.add(tx, project_endpoint, new)


def remove_endpoint(tx: Tx, project_id: str, endpoint_id: str) -> None:
    here = (project_endpoint.c.project_id == project_id) & (project_endpoint.c.endpoint_id == endpoint_id)
    sql.execute(tx, delete(project_endpoint).where(here))


def find_group(source: Source, project_id: str, group_id: str) -> ProjectEndpointGroup | None:
    table = project_endpoint_group
    return sql.find(source, table, ProjectEndpointGroup, project_id=project_id, endpoint_group_id=group_id)


def add_group(tx: Tx, new: ProjectEndpointGroup) -> None:
    sql.add(tx, project_endpoint_group, new)


def remove_group(tx: Tx, project_id: str, group_id: str) -> None:
    table = project_endpoint_group
    here = (table.c.project_id == project_id) & (table.c.endpoint_group_id == group_id)
    sql.execute(tx, delete(table).where(here))


def projects_of_endpoint(source: Source, endpoint_id: str) -> list[Project]:
    return _projects(source, project_endpoint, "endpoint_id", endpoint_id)


def projects_of_group(source: Source, group_id: str) -> list[Project]:
    return _projects(source, project_endpoint_group, "endpoint_group_id", group_id)


def _projects(source: Source, table: Table, name: str, value: str) -> list[Project]:
    query = select(project).join(table, table.c.project_id == project.c.id)
    return sql.rows(source, query.where(table.c[name] == value).order_by(project.c.id), Project)
