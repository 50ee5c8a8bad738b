# SPDX-License-Identifier: Apache-2.0
"""Projects, domains among them, and their tags in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import project, tag
from cumulet.services.identity.types import Project


def find(source: Source, project_id: str) -> Project | None:
    return sql.find(source, project, Project, id=project_id)


def find_by_name(source: Source, name: str, domain_id: str | None) -> Project | None:
    """The project of that name in a domain; the domain of that name where `domain_id` is None."""
    return sql.find(source, project, Project, name=name, domain_id=domain_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Project]:
    return sql.rows(source, apply(select(project).order_by(project.c.id), project, filters), Project)


def find_these(source: Source, ids: Iterable[str]) -> list[Project]:
    query = select(project).where(sql.any_of(project.c.id, ids)).order_by(project.c.id)
    return sql.rows(source, query, Project)


def children(source: Source, project_id: str) -> list[Project]:
    query = select(project).where(project.c.parent_id == project_id).order_by(project.c.id)
    return sql.rows(source, query, Project)


def add(tx: Tx, new: Project) -> None:
    sql.add(tx, project, new)


def change(tx: Tx, project_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(project).where(project.c.id == project_id).values(changes))


def remove(tx: Tx, project_id: str) -> None:
    sql.execute(tx, delete(project).where(project.c.id == project_id))


def tags(source: Source, ids: Iterable[str]) -> dict[str, list[str]]:
    """The tags, sorted, of each of these projects that has any."""
    found: dict[str, list[str]] = {}
    query = select(tag.c.project_id, tag.c.name).where(sql.any_of(tag.c.project_id, ids)).order_by(tag.c.name)
    for project_id, name in sql.tuples(source, query):
        found.setdefault(project_id, []).append(name)
    return found


def set_tags(tx: Tx, project_id: str, names: Iterable[str]) -> None:
    """Make `names` the project's only tags."""
    sql.execute(tx, delete(tag).where(tag.c.project_id == project_id))
    rows = [{"project_id": project_id, "name": name} for name in sorted(set(names))]
    if rows:
        sql.execute(tx, insert(tag), rows)
