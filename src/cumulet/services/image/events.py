# SPDX-License-Identifier: Apache-2.0
"""What the image service tells others: Glance's notifications by name and payload."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.clock import iso_z
from cumulet.services.image.types import HIDDEN, Member, Record

CREATE = "image.create"
UPDATE = "image.update"
DELETE = "image.delete"
UPLOAD = "image.upload"
ACTIVATE = "image.activate"
MEMBER_CREATE = "image.member.create"
MEMBER_UPDATE = "image.member.update"
MEMBER_DELETE = "image.member.delete"

_SAME = (
    *("id", "name", "status", "owner", "visibility", "disk_format", "container_format", "min_disk", "min_ram"),
    *("protected", "os_hidden", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"),
)


def image(record: Record, *, deleted: bool = False) -> dict[str, Any]:
    """The payload of every event of an image."""
    found = record.image
    return {
        **{name: getattr(found, name) for name in _SAME},
        "is_public": found.visibility == "public",
        "created_at": iso_z(found.created_at),
        "updated_at": iso_z(found.updated_at),
        "deleted": deleted,
        "deleted_at": iso_z(clock.utcnow()) if deleted else None,
        "properties": {name: value for name, value in record.properties.items() if name not in HIDDEN},
        "tags": record.tags,
    }


def member(found: Member, *, deleted: bool = False) -> dict[str, Any]:
    """The payload of every event of a member."""
    return {
        "image_id": found.image_id,
        "member_id": found.member_id,
        "status": found.status,
        "created_at": iso_z(found.created_at),
        "updated_at": iso_z(found.updated_at),
        "deleted": deleted,
        "deleted_at": iso_z(clock.utcnow()) if deleted else None,
    }
