# SPDX-License-Identifier: Apache-2.0
"""Roles, and which ones imply which, in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import implied_role, role
from cumulet.services.identity.types import ImpliedRole, Role


def find(source: Source, role_id: str) -> Role | None:
    return sql.find(source, role, Role, id=role_id)


def find_by_name(source: Source, name: str, domain_id: str | None = None) -> Role | None:
    return sql.row(source, select(role).where(role.c.name == name, role.c.domain_id == domain_id), Role)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Role]:
    return sql.rows(source, apply(select(role).order_by(role.c.id), role, filters), Role)


def find_these(source: Source, ids: Iterable[str]) -> list[Role]:
    """These roles, by name."""
    return sql.rows(source, select(role).where(sql.any_of(role.c.id, ids)).order_by(role.c.name, role.c.id), Role)


def add(tx: Tx, new: Role) -> None:
    sql.add(tx, role, new)


def change(tx: Tx, role_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(role).where(role.c.id == role_id).values(changes))


def remove(tx: Tx, role_id: str) -> None:
    sql.execute(tx, delete(role).where(role.c.id == role_id))


def implications(source: Source) -> list[ImpliedRole]:
    """Every implication, in a fixed order."""
    query = select(implied_role).order_by(implied_role.c.prior_id, implied_role.c.implied_id)
    return sql.rows(source, query, ImpliedRole)


def imply(tx: Tx, prior_id: str, implied_id: str) -> None:
    sql.add(tx, implied_role, ImpliedRole(prior_id, implied_id))


def stop_implying(tx: Tx, prior_id: str, implied_id: str) -> bool:
    """Remove an implication; False where it was not there."""
    here = (implied_role.c.prior_id == prior_id) & (implied_role.c.implied_id == implied_id)
    return sql.execute(tx, delete(implied_role).where(here)) > 0
