# SPDX-License-Identifier: Apache-2.0
"""Which parts of hosts servers have for themselves, in the database."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import held_parts
from cumulet.services.compute.types import HeldParts


def find(source: Source, owner: str) -> HeldParts | None:
    return sql.find(source, held_parts, HeldParts, owner=owner)


def on_host(source: Source, host: str) -> list[HeldParts]:
    return sql.find_all(source, held_parts, HeldParts, ("owner",), host=host)


def everywhere(source: Source) -> list[HeldParts]:
    return sql.find_all(source, held_parts, HeldParts, ("host", "owner"))


def add(tx: Tx, new: HeldParts) -> None:
    sql.add(tx, held_parts, new)


def change(tx: Tx, owner: str, parts: dict[str, Any]) -> None:
    """Let the owner hold these parts of its host."""
    sql.change(tx, held_parts, {"parts": parts}, owner=owner)


def give(tx: Tx, owner: str, heir: str) -> None:
    """What one held is held by the other from now on."""
    sql.change(tx, held_parts, {"owner": heir}, owner=owner)


def remove(tx: Tx, owner: str) -> None:
    sql.remove(tx, held_parts, owner=owner)
