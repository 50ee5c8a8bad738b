# SPDX-License-Identifier: Apache-2.0
"""The options of domains' own configurations in the database."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import domain_option
from cumulet.services.identity.types import DomainOption


def find_all(source: Source, domain_id: str, section: str | None = None, name: str | None = None) -> list[DomainOption]:
    query = select(domain_option).where(*_where(domain_id, section, name))
    return sql.rows(source, query.order_by(domain_option.c.section, domain_option.c.name), DomainOption)


def put(tx: Tx, option: DomainOption) -> None:
    """Store an option in the place of an earlier value."""
    remove(tx, option.domain_id, option.section, option.name)
    sql.add(tx, domain_option, option)


def remove(tx: Tx, domain_id: str, section: str | None = None, name: str | None = None) -> None:
    sql.execute(tx, delete(domain_option).where(*_where(domain_id, section, name)))


def _where(domain_id: str, section: str | None, name: str | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [domain_option.c.domain_id == domain_id]
    if section is not None:
        found.append(domain_option.c.section == section)
    if name is not None:
        found.append(domain_option.c.name == name)
    return found
