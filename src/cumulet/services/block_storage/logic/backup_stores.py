# SPDX-License-Identifier: Apache-2.0
"""What hosts are told of the store of a backup beside its names: of the object store, whose account it is in."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage.types.backups import FILES, S3, SWIFT, Backup
from cumulet.services.identity.contract import IdentityContract, ObjectStorePasses

SERVICE = "block-storage"  # whom the object store takes these hosts for
LIFE = 2 * 3600.0  # seconds that a pass is good for: longer than the longest order
_NAMES = {"files": FILES, "s3": S3, "swift": SWIFT}


def service(cloud: Cloud) -> str:
    """What records say of the store of this cloud's backups."""
    return _NAMES[cloud.settings.volume_backups.driver]


def is_each_projects_own(cloud: Cloud) -> bool:
    """Whether backups of two projects never lie in the same place, whatever their names."""
    said = cloud.settings.volume_backups
    return said.driver == "swift" and said.swift.auth == "per_user"


def order(cloud: Cloud, one: Backup, words: Any) -> dict[str, Any]:
    """An order about a backup, with what opens its store to the host; never to be written down.

    Raises Conflict where there is no such store.
    """
    body: dict[str, Any] = msgspec.to_builtins(words)
    if cloud.settings.volume_backups.driver != "swift":
        return body
    issued = cloud.contracts.use(ObjectStorePasses).issue(cloud.db, SERVICE, _project(cloud, one), LIFE)
    return body | {"account": msgspec.to_builtins(issued)}


def _project(cloud: Cloud, one: Backup) -> str:
    said = cloud.settings.volume_backups.swift
    if said.auth == "per_user":
        return one.project_id
    found = cloud.contracts.use(IdentityContract).project_named(cloud.db, said.project)
    if found is None:
        raise Conflict(f"There is no project {said.project} that backups could be kept for.")
    return found.id
