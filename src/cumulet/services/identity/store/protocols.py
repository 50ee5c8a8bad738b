# SPDX-License-Identifier: Apache-2.0
"""The protocols of identity providers in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import protocol
from cumulet.services.identity.types import Protocol


def find(source: Source, idp_id: str, protocol_id: str) -> Protocol | None:
    return sql.find(source, protocol, Protocol, id=protocol_id, idp_id=idp_id)


def find_all(source: Source, idp_id: str) -> list[Protocol]:
    return sql.rows(source, select(protocol).where(protocol.c.idp_id == idp_id).order_by(protocol.c.id), Protocol)


def named(source: Source, protocol_id: str) -> list[Protocol]:
    """The protocols of this name, of whatever provider."""
    return sql.rows(source, select(protocol).where(protocol.c.id == protocol_id).order_by(protocol.c.idp_id), Protocol)


def add(tx: Tx, new: Protocol) -> None:
    sql.add(tx, protocol, new)


def change(tx: Tx, idp_id: str, protocol_id: str, changes: dict[str, Any]) -> None:
    here = (protocol.c.idp_id == idp_id) & (protocol.c.id == protocol_id)
    sql.execute(tx, update(protocol).where(here).values(changes))


def remove(tx: Tx, idp_id: str, protocol_id: str) -> None:
    sql.execute(tx, delete(protocol).where(protocol.c.idp_id == idp_id, protocol.c.id == protocol_id))
