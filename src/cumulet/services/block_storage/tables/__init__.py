# SPDX-License-Identifier: Apache-2.0
"""The tables of the block storage service, columns named and ordered as the row Structs' fields in `types`."""

from __future__ import annotations

from cumulet.services.block_storage.tables.backups import backup, backup_service
from cumulet.services.block_storage.tables.base import metadata
from cumulet.services.block_storage.tables.core import (
    admission,
    attachment,
    backend,
    default_type,
    message,
    quota_limit,
    snapshot,
    transfer,
    type_access,
    volume,
    volume_type,
)
from cumulet.services.block_storage.tables.groups import group, group_snapshot, group_type
from cumulet.services.block_storage.tables.moves import move
from cumulet.services.block_storage.tables.qos_specs import qos_specs

__all__ = [
    "admission",
    "attachment",
    "backend",
    "backup",
    "backup_service",
    "default_type",
    "group",
    "group_snapshot",
    "group_type",
    "message",
    "metadata",
    "move",
    "qos_specs",
    "quota_limit",
    "snapshot",
    "transfer",
    "type_access",
    "volume",
    "volume_type",
]
