# SPDX-License-Identifier: Apache-2.0
"""Identity providers, and the names that they call themselves by, in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import identity_provider, remote_id
from cumulet.services.identity.types import IdentityProvider, RemoteId


def find(source: Source, idp_id: str) -> IdentityProvider | None:
    return sql.find(source, identity_provider, IdentityProvider, id=idp_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[IdentityProvider]:
    query = select(identity_provider).order_by(identity_provider.c.id)
    return sql.rows(source, apply(query, identity_provider, filters), IdentityProvider)


def add(tx: Tx, new: IdentityProvider) -> None:
    sql.add(tx, identity_provider, new)


def change(tx: Tx, idp_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(identity_provider).where(identity_provider.c.id == idp_id).values(changes))


def remove(tx: Tx, idp_id: str) -> None:
    sql.execute(tx, delete(identity_provider).where(identity_provider.c.id == idp_id))


def remote_ids(source: Source, idp_id: str) -> list[str]:
    """The names of one provider, in their order."""
    query = select(remote_id.c.remote_id).where(remote_id.c.idp_id == idp_id).order_by(remote_id.c.remote_id)
    return sql.column(source, query)


def owner_of(source: Source, name: str) -> str | None:
    """The id of the provider that calls itself `name`."""
    owner: str | None = sql.scalar(source, select(remote_id.c.idp_id).where(remote_id.c.remote_id == name))
    return owner


def set_remote_ids(tx: Tx, idp_id: str, names: Iterable[str]) -> None:
    """Make these the names of one provider."""
    sql.execute(tx, delete(remote_id).where(remote_id.c.idp_id == idp_id))
    sql.add(tx, remote_id, *(RemoteId(name, idp_id) for name in names))
