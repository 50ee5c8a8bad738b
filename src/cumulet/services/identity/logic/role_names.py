# SPDX-License-Identifier: Apache-2.0
"""Roles as callers name them when they lend some: `{"id": ...}` or `{"name": ...}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cumulet.kernel.db import Source
from cumulet.kernel.errors import NotFound
from cumulet.services.identity.store import roles


def to_ids(source: Source, said: Iterable[Mapping[str, str]]) -> list[str]:
    """The ids of the roles said; NotFound for a name that no role has. Ids are taken as they are."""
    found: dict[str, None] = {}
    for one in said:
        if "id" in one:
            found[one["id"]] = None
            continue
        role = roles.find_by_name(source, one["name"])
        if role is None:
            raise NotFound(f"Role {one['name']} is not defined", code="RoleNotFound")
        found[role.id] = None
    return list(found)
