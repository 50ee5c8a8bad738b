# SPDX-License-Identifier: Apache-2.0
"""What an identity service tells others, heard by a test."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db.outbox import Event


class Ear:
    """Hears all events of identity from now on."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._events: list[Event] = []
        cloud.outbox.subscribe("identity", self._events.append)

    def hear(self) -> list[Event]:
        """What has been told since the last time."""
        while self._cloud.outbox.deliver():
            pass
        told = list(self._events)
        self._events.clear()
        return told


def listening(cloud: Cloud, **identity: Any) -> Ear:
    """An ear for a cloud with these settings of identity; by default no event is left out."""
    words = {"notification_opt_out": (), **identity}
    changed = msgspec.structs.replace(cloud.settings.identity, **words)
    cloud.settings = msgspec.structs.replace(cloud.settings, identity=changed)
    ear = Ear(cloud)
    ear.hear()
    return ear
