# SPDX-License-Identifier: Apache-2.0
"""Credentials in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import credential
from cumulet.services.identity.types import Credential


def find(source: Source, credential_id: str) -> Credential | None:
    return sql.find(source, credential, Credential, id=credential_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Credential]:
    return sql.rows(source, apply(select(credential).order_by(credential.c.id), credential, filters), Credential)


def add(tx: Tx, new: Credential) -> None:
    sql.add(tx, credential, new)


def change(tx: Tx, credential_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(credential).where(credential.c.id == credential_id).values(changes))


def seal_anew(tx: Tx, credential_id: str, before: str, after: str) -> bool:
    """Replace a sealed blob, unless somebody else has changed it meanwhile; whether it was."""
    same = (credential.c.id == credential_id, credential.c.blob == before)
    return sql.execute(tx, update(credential).where(*same).values(blob=after)) == 1


def remove(tx: Tx, credential_id: str) -> None:
    sql.execute(tx, delete(credential).where(credential.c.id == credential_id))


def remove_of_user(tx: Tx, user_id: str) -> None:
    sql.execute(tx, delete(credential).where(credential.c.user_id == user_id))


def remove_of_project(tx: Tx, project_id: str) -> None:
    sql.execute(tx, delete(credential).where(credential.c.project_id == project_id))
