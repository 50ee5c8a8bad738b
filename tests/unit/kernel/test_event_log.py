# SPDX-License-Identifier: Apache-2.0
"""Events in the log: those that were asked for, in the fields of OpenStack's notifications, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from cumulet.kernel import log, notifications
from cumulet.kernel.bus.memory import Memory
from cumulet.kernel.db import migrate
from cumulet.kernel.db.outbox import Event, Outbox


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged, as JSON lines."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    stream = io.StringIO()
    log.setup("info", stream, "json")
    yield stream
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def test_what_was_asked_for_is_logged(empty, lines):
    db = empty
    migrate.migrate(db, {})
    outbox = Outbox(db, Memory(), "a")
    notifications.log_those(outbox, ("identity", "volume.create"), "host-1")
    payload = {"resource_info": "u", "initiator": {"credential": {"token": "hush"}}}
    db.write(lambda tx: outbox.publish(tx, "identity.user.created", payload, "req-1"))
    for topic in ("volume.create.end", "volume.delete.end", "identities.none"):
        db.write(lambda tx, topic=topic: outbox.publish(tx, topic, {}))
    outbox.deliver()
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (first["logger"], first["message"]) == ("cumulet.notifications", "identity.user.created")
    assert first["event_type"] == "identity.user.created"
    assert first["publisher_id"] == "identity.host-1"
    assert first["priority"] == "INFO"
    assert first["request_id"] == "req-1"
    assert first["payload"] == {"resource_info": "u", "initiator": {"credential": {"token": "***"}}}
    assert second["event_type"] == "volume.create.end"
    assert "hush" not in lines.getvalue()


def test_an_event_keeps_its_id_when_it_is_told_again():
    event = Event(1, "compute.instance.create.error", {}, "", 1_700_000_000.25)
    first, second = (notifications.envelope(event, "host-1") for _ in range(2))
    assert first == second
    assert first["priority"] == "ERROR"
    assert first["timestamp"] == "2023-11-14 22:13:20.250000"
    other = notifications.envelope(Event(2, "compute.instance.create.error", {}, "", 1_700_000_000.25), "host-1")
    assert other["message_id"] != first["message_id"]
