# SPDX-License-Identifier: Apache-2.0
"""Projects' own limits in the database."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.store import pages
from cumulet.services.key_manager.tables import project_quota
from cumulet.services.key_manager.types import Page, ProjectQuota


def find(source: Source, project_id: str) -> ProjectQuota | None:
    return sql.find(source, project_quota, ProjectQuota, project_id=project_id)


def find_all(source: Source, wanted: Page) -> tuple[list[ProjectQuota], int]:
    query = select(project_quota).order_by(project_quota.c.created_at, project_quota.c.project_id)
    return pages.page(source, query, wanted, ProjectQuota)


def add(tx: Tx, new: ProjectQuota) -> None:
    sql.add(tx, project_quota, new)


def change(tx: Tx, project_id: str, limits: Mapping[str, int]) -> None:
    if limits:
        sql.execute(tx, update(project_quota).where(project_quota.c.project_id == project_id).values(limits))


def remove(tx: Tx, project_id: str) -> bool:
    return sql.execute(tx, delete(project_quota).where(project_quota.c.project_id == project_id)) == 1
