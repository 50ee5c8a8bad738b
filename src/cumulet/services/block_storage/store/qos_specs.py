# SPDX-License-Identifier: Apache-2.0
"""QoS specs in the database, and the types that each is associated with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, select, update

from cumulet.kernel import clock
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import qos_specs, volume_type
from cumulet.services.block_storage.types import Page, VolumeType
from cumulet.services.block_storage.types.qos_specs import QosSpecs

# Kept: to make a statement costs ten times as much as to run it.
_OF_TYPE = (
    select(qos_specs)
    .join(volume_type, volume_type.c.qos_specs_id == qos_specs.c.id)
    .where(volume_type.c.id == bindparam("type"))
)


def find(source: Source, specs_id: str) -> QosSpecs | None:
    return sql.find(source, qos_specs, QosSpecs, id=specs_id)


def named(source: Source, name: str) -> QosSpecs | None:
    return sql.find(source, qos_specs, QosSpecs, name=name)


def of_type(source: Source, type_id: str) -> QosSpecs | None:
    """Those that a type is associated with."""
    return sql.row(source, _OF_TYPE, QosSpecs, {"type": type_id})


def find_page(source: Source, page: Page, exact: dict[str, str]) -> list[QosSpecs]:
    query = select(qos_specs)
    for name, value in exact.items():
        query = query.where(qos_specs.c[name] == value)
    return pages.page(source, query, qos_specs, page, QosSpecs)


def add(tx: Tx, new: QosSpecs) -> None:
    sql.add(tx, qos_specs, new)


def change(tx: Tx, specs_id: str, **values: Any) -> None:
    sql.execute(tx, update(qos_specs).where(qos_specs.c.id == specs_id).values(updated_at=clock.utcnow(), **values))


def remove(tx: Tx, specs_id: str) -> None:
    sql.execute(tx, delete(qos_specs).where(qos_specs.c.id == specs_id))


def types(source: Source, specs_id: str) -> list[VolumeType]:
    """The types that are associated with the specs, the oldest first."""
    query = select(volume_type).where(volume_type.c.qos_specs_id == specs_id)
    return sql.rows(source, query.order_by(volume_type.c.created_at, volume_type.c.id), VolumeType)


def associate(tx: Tx, type_id: str, specs_id: str | None) -> None:
    values = {"qos_specs_id": specs_id, "updated_at": clock.utcnow()}
    sql.execute(tx, update(volume_type).where(volume_type.c.id == type_id).values(**values))


def disassociate_all(tx: Tx, specs_id: str) -> None:
    values = {"qos_specs_id": None, "updated_at": clock.utcnow()}
    sql.execute(tx, update(volume_type).where(volume_type.c.qos_specs_id == specs_id).values(**values))
