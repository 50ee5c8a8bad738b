# SPDX-License-Identifier: Apache-2.0
"""Access lists of secrets and containers: who may read beside the creator. Without a list, the whole project may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.key_manager.store import acls as store
from cumulet.services.key_manager.types import Acl, Container, Secret

READ = "read"


def get(cloud: Cloud, owner_id: str) -> tuple[Acl, list[str]] | None:
    """The list of a secret or container with its users; None where it has none."""
    found = store.find(cloud.db, owner_id)
    return None if found is None else (found, store.users(cloud.db, owner_id))


def replace(cloud: Cloud, owner_id: str, words: Mapping[str, Any]) -> None:
    """Put `{"read": {"users": [...], "project-access": bool}}` in the place of what there is."""
    said = words.get(READ)

    def write(tx: Tx) -> None:
        if not said:
            store.remove(tx, owner_id)
            return
        _put(tx, owner_id, said.get("project-access", True), said.get("users", []))

    cloud.db.write(write)


def update(cloud: Cloud, owner_id: str, words: Mapping[str, Any]) -> None:
    """Change what `words` name of the list, which is made where there is none."""
    said = words.get(READ)
    if said:
        cloud.db.write(lambda tx: _put(tx, owner_id, said.get("project-access"), said.get("users")))


def remove(cloud: Cloud, owner_id: str) -> None:
    cloud.db.write(lambda tx: store.remove(tx, owner_id))


def target(source: Source, ctx: Context, owner: Secret | Container) -> dict[str, Any]:
    """What rules are judged on, in Barbican's words."""
    found = store.find(source, owner.id)
    words: dict[str, Any] = {
        "project_id": owner.project_id,
        "creator_id": owner.creator_id,
        "read_project_access": found is None or found.project_access,
    }
    if found is not None and ctx.user_id in store.users(source, owner.id):
        words[READ] = READ
    return words


def _put(tx: Tx, owner_id: str, project_access: bool | None, users: list[str] | None) -> None:
    now = clock.utcnow()
    old = store.find(tx, owner_id)
    if old is None:
        store.add(tx, Acl(owner_id, project_access is not False, now, now))
    else:
        access = old.project_access if project_access is None else project_access
        store.change(tx, msgspec.structs.replace(old, project_access=access, updated_at=now))
    if users is not None:
        store.set_users(tx, owner_id, users)
