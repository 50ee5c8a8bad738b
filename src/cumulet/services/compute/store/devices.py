# SPDX-License-Identifier: Apache-2.0
"""Disks of servers (block device mappings) in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import device
from cumulet.services.compute.types import Device

_ORDER = ("created_at", "device_name")


def of_server(source: Source, server_id: str) -> list[Device]:
    """In the order in which they came."""
    return sql.find_all(source, device, Device, _ORDER, server_id=server_id)


def of_servers(source: Source, server_ids: Iterable[str]) -> dict[str, list[Device]]:
    """The same for several; servers without are absent."""
    found: dict[str, list[Device]] = {}
    for each in sql.find_all(source, device, Device, _ORDER, server_id=list(server_ids)):
        found.setdefault(each.server_id, []).append(each)
    return found


def owners(source: Source) -> set[str]:
    """The ids of all servers that have a disk here."""
    return set(sql.column(source, select(device.c.server_id).distinct()))


def of_volume(source: Source, volume_id: str) -> list[Device]:
    return sql.find_all(source, device, Device, volume_id=volume_id)


def find(source: Source, server_id: str, volume_id: str) -> Device | None:
    return sql.find(source, device, Device, server_id=server_id, volume_id=volume_id)


def add(tx: Tx, *new: Device) -> None:
    sql.add(tx, device, *new)


def change(tx: Tx, device_id: str, changes: Mapping[str, Any]) -> None:
    sql.change(tx, device, changes, id=device_id)


def remove(tx: Tx, device_id: str) -> None:
    sql.remove(tx, device, id=device_id)


def remove_all(tx: Tx, server_id: str) -> None:
    sql.remove(tx, device, server_id=server_id)
