# SPDX-License-Identifier: Apache-2.0
"""Disks of servers (block device mappings) in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import device
from cumulet.services.compute.types import Device


def of_server(source: Source, server_id: str) -> list[Device]:
    """In the order in which they came."""
    query = select(device).where(device.c.server_id == server_id).order_by(device.c.created_at, device.c.device_name)
    return sql.rows(source, query, Device)


def of_servers(source: Source, server_ids: Iterable[str]) -> dict[str, list[Device]]:
    """The same for several; servers without are absent."""
    query = select(device).where(sql.any_of(device.c.server_id, server_ids))
    found: dict[str, list[Device]] = {}
    for each in sql.rows(source, query.order_by(device.c.created_at, device.c.device_name), Device):
        found.setdefault(each.server_id, []).append(each)
    return found


def owners(source: Source) -> set[str]:
    """The ids of all servers that have a disk here."""
    return set(sql.column(source, select(device.c.server_id).distinct()))


def of_volume(source: Source, volume_id: str) -> list[Device]:
    return sql.rows(source, select(device).where(device.c.volume_id == volume_id), Device)


def find(source: Source, server_id: str, volume_id: str) -> Device | None:
    query = select(device).where(device.c.server_id == server_id, device.c.volume_id == volume_id)
    return sql.row(source, query, Device)


def add(tx: Tx, *new: Device) -> None:
    sql.add(tx, device, *new)


def change(tx: Tx, device_id: str, changes: Mapping[str, Any]) -> None:
    sql.execute(tx, update(device).where(device.c.id == device_id).values(dict(changes)))


def remove(tx: Tx, device_id: str) -> None:
    sql.execute(tx, delete(device).where(device.c.id == device_id))


def remove_all(tx: Tx, server_id: str) -> None:
    sql.execute(tx, delete(device).where(device.c.server_id == server_id))
