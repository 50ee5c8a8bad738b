# SPDX-License-Identifier: Apache-2.0
"""Flavors and who may use them, in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete, or_, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import flavor, flavor_access
from cumulet.services.compute.types import Flavor, FlavorAccess


def find(source: Source, flavor_id: str) -> Flavor | None:
    return sql.find(source, flavor, Flavor, id=flavor_id)


def find_named(source: Source, name: str) -> Flavor | None:
    return sql.find(source, flavor, Flavor, name=name)


def find_all(source: Source, project_id: str | None, is_public: bool | None) -> list[Flavor]:
    """Flavors that are public or shared with the project; for `is_public` None all, else those that are so."""
    return sql.rows(source, _listed(project_id, is_public).order_by(flavor.c.id), Flavor)


def add(tx: Tx, new: Flavor) -> None:
    sql.add(tx, flavor, new)


def change(tx: Tx, flavor_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(flavor).where(flavor.c.id == flavor_id).values(changes))


def remove(tx: Tx, flavor_id: str) -> None:
    sql.execute(tx, delete(flavor_access).where(flavor_access.c.flavor_id == flavor_id))
    sql.execute(tx, delete(flavor).where(flavor.c.id == flavor_id))


def access(source: Source, flavor_id: str) -> list[str]:
    """The projects that the flavor is shared with."""
    found = flavor_access.c
    return sql.column(source, select(found.project_id).where(found.flavor_id == flavor_id).order_by(found.project_id))


def share(tx: Tx, new: FlavorAccess) -> None:
    sql.add(tx, flavor_access, new)


def unshare(tx: Tx, flavor_id: str, project_id: str) -> bool:
    """Whether it was shared with the project."""
    found = flavor_access.c
    query = delete(flavor_access).where(found.flavor_id == flavor_id, found.project_id == project_id)
    return sql.execute(tx, query) > 0


def _listed(project_id: str | None, is_public: bool | None) -> Select[Any]:
    query = select(flavor)
    if is_public is None:
        return query
    if not is_public:
        return query.where(flavor.c.is_public.is_(False))
    shared = select(flavor_access.c.flavor_id).where(flavor_access.c.project_id == project_id)
    return query.where(or_(flavor.c.is_public.is_(True), flavor.c.id.in_(shared)))
