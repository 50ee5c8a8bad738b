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

SCHEDULE, COPY_IMAGE, SNAPSHOT_CREATE, SNAPSHOT_DELETE, EXTEND, VOLUME_CREATE, VOLUME_DELETE = (
    "001", "005", "010", "011", "008", "001", "014",
)  # fmt: skip
UNKNOWN, NO_BACKEND, DRIVER_FAILED_EXTEND, DRIVER_FAILED_CREATE, DRIVER_FAILED_DELETE = (
    "001", "002", "004", "017", "019",
)  # fmt: skip

TEXTS = {
    ("001", "002"): "schedule allocate volume:Could not find any available weighted backend.",
    ("001", "017"): "schedule allocate volume:Volume driver failed to create the volume.",
    ("008", "004"): "extend volume:Volume's driver failed to extend it.",
    ("010", "001"): "create snapshot:An unknown error occurred.",
    ("011", "001"): "delete snapshot:An unknown error occurred.",
    ("014", "019"): "delete volume:Volume driver failed to delete the volume.",
}


def text(message: Message) -> str:
    """The sentence that the user reads."""
    return TEXTS.get((message.action, message.detail), "unknown action:An unknown error occurred.")


def event_id(message: Message) -> str:
    return f"VOLUME_{message.resource_type}_{message.action}_{message.detail}"


def tell(
    tx: Tx, project_id: str, request_id: str, resource_type: str, resource_id: str, action: str, detail: str
) -> None:
    """Leave a message about `resource_type` (VOLUME, VOLUME_SNAPSHOT) for the project."""
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
