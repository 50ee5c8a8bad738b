# SPDX-License-Identifier: Apache-2.0
"""What the key manager hears of other services: that a project is gone, and with it all that it had here."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db.outbox import Event

# Domains may act as projects.
ENDS = ("identity.project.deleted", "identity.domain.deleted")


def listen(cloud: Cloud) -> None:
    """Hear of projects' ends. One that is missed is found by `loops.clean`."""

    def deleted(event: Event) -> None:
        from cumulet.services.key_manager.logic import cleaning

        cleaning.forget_project(cloud, event.payload["resource_info"])

    for topic in ENDS:
        cloud.outbox.subscribe(topic, deleted)
