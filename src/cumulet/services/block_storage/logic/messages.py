# SPDX-License-Identifier: Apache-2.0
"""What users are told of work that failed after its request was answered.

Actions and details are Cinder's numbers (`cinder.message.message_field`), of which a message's event id is made.
"""

from __future__ import annotations

from datetime import timedelta

from cumulet.kernel import clock, ids
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.block_storage.store import messages as store
from cumulet.services.block_storage.types import Message, Page

LIFETIME = timedelta(days=30)

SCHEDULE, UPLOAD, CREATE, UNMANAGE, EXTEND, SNAPSHOT_CREATE, SNAPSHOT_DELETE, REIMAGE = (
    "001", "003", "008", "006", "007", "009", "010", "016",
)  # fmt: skip
UNKNOWN, NO_BACKEND, NOT_UPLOADED, DRIVER_FAILED_EXTEND, DRIVER_FAILED_CREATE = "001", "003", "004", "010", "012"
SNAPSHOT_NOT_MADE, SNAPSHOT_NOT_DELETED = "013", "016"
BACKUP_CREATE, BACKUP_DELETE, BACKUP_RESTORE = "013", "014", "015"
BACKUP_CREATE_FAILED, BACKUP_NOT_SCHEDULED, BACKUP_DELETE_FAILED, BACKUP_RESTORE_FAILED = "020", "024", "025", "026"

ACTIONS = {
    SCHEDULE: "schedule allocate volume",
    UPLOAD: "copy volume to image",
    UNMANAGE: "unmanage volume",
    EXTEND: "extend volume",
    CREATE: "create volume from backend storage",
    SNAPSHOT_CREATE: "create snapshot",
    SNAPSHOT_DELETE: "delete snapshot",
    BACKUP_CREATE: "create backup",
    BACKUP_DELETE: "delete backup",
    BACKUP_RESTORE: "restore backup",
    REIMAGE: "reimage volume",
}
DETAILS = {
    UNKNOWN: "An unknown error occurred.",
    NO_BACKEND: "Could not find any available weighted backend.",
    NOT_UPLOADED: "Failed to upload volume to image at backend.",
    DRIVER_FAILED_EXTEND: "Volume Driver failed to extend volume.",
    DRIVER_FAILED_CREATE: "Driver failed to create the volume.",
    SNAPSHOT_NOT_MADE: "Snapshot failed to create.",
    SNAPSHOT_NOT_DELETED: "Snapshot failed to delete.",
    BACKUP_CREATE_FAILED: "Backup driver failed to create backup.",
    BACKUP_NOT_SCHEDULED: "Backup failed to schedule. Service not found for creating backup.",
    BACKUP_DELETE_FAILED: "Backup driver failed to delete backup.",
    BACKUP_RESTORE_FAILED: "Backup driver failed to restore backup.",
}


def text(message: Message) -> str:
    """The sentence that the user reads."""
    action = ACTIONS.get(message.action, "unknown action")
    return f"{action}:{DETAILS.get(message.detail, DETAILS[UNKNOWN])}"


def event_id(message: Message) -> str:
    return f"VOLUME_{message.resource_type}_{message.action}_{message.detail}"


def tell(
    tx: Tx, project_id: str, request_id: str, resource_type: str, resource_id: str, action: str, detail: str
) -> None:
    """Leave a message about `resource_type` (VOLUME, VOLUME_SNAPSHOT, VOLUME_BACKUP) for the project."""
    now = clock.utcnow()
    store.add(
        tx,
        Message(
            ids.new_uuid(), project_id, request_id, resource_type, resource_id, action, detail, "ERROR", now,
            now + LIFETIME,
        ),
    )  # fmt: skip


def get(source: Source, ctx: Context, message_id: str) -> Message:
    found = store.find(source, ctx, message_id)
    if found is None:
        raise NotFound(f"Message {message_id} could not be found.", code="MessageNotFound")
    return found


def find_page(source: Source, ctx: Context, page: Page, exact: dict[str, str]) -> list[Message]:
    return store.find_page(source, ctx, page, exact)


def delete(tx: Tx, ctx: Context, message_id: str) -> None:
    get(tx, ctx, message_id)
    store.remove(tx, message_id)


def forget_expired(tx: Tx) -> int:
    return store.remove_expired(tx, clock.utcnow())
