# SPDX-License-Identifier: Apache-2.0
"""Events as OpenStack's notifications, in the log: for audits, and for whoever collects logs.

The fields are those that oslo.messaging puts around a payload: `message_id`, `publisher_id`, `event_type`, `priority`,
`timestamp` and `payload`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.db.outbox import Event, Outbox

LOG = logging.getLogger("cumulet.notifications")

_NAMESPACE = uuid.UUID("b0a4d0f6-8a0b-4e0c-9f52-2f0b6a1c7d11")  # of message ids


def log_those(outbox: Outbox, event_types: Iterable[str], host: str) -> None:
    """Log every event whose type is one of these, or stands below it, as told by this `host`."""
    for event_type in event_types:
        outbox.subscribe(event_type, _writer(host))


def envelope(event: Event, host: str) -> dict[str, Any]:
    """The notification; its id is the same each time that an event is delivered."""
    service, _, _ = event.topic.partition(".")
    return {
        "message_id": str(uuid.uuid5(_NAMESPACE, f"{event.created_at!r} {event.id}")),
        "publisher_id": f"{service}.{host}",
        "event_type": event.topic,
        "priority": "ERROR" if event.topic.endswith(".error") else "INFO",
        "timestamp": clock.from_seconds(event.created_at).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "payload": event.payload,
    }


def _writer(host: str) -> Callable[[Event], None]:
    def write(event: Event) -> None:
        LOG.info(event.topic, extra={**envelope(event, host), "request_id": event.request_id})

    return write
