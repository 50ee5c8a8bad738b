# SPDX-License-Identifier: Apache-2.0
"""What hosts ask of the image service, and what they are told: images to copy, snapshots to take, copies to forget."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db.outbox import Event
from cumulet.kernel.link.controller import HostInfo
from cumulet.services.image import events
from cumulet.services.image.logic import copies, pushed

Body = dict[str, Any]


def listen(cloud: Cloud) -> None:
    """Answer the hosts' calls, and let them forget what is gone: at once, or when they come back."""

    def joined(host: HostInfo, report: Body) -> None:
        copies.forget_outdated(cloud, host.name, report.get("image", {}))

    def deleted(event: Event) -> None:
        # Not those that seem connected: one that has just dialled another replica may have copied the image since.
        for host in cloud.hosts.known():
            copies.forget(cloud, host, event.payload["id"])

    def write(host: str, body: Body) -> None:
        pushed.write(cloud, body["id"], body["offset"], body["data"])

    def finish(host: str, body: Body) -> None:
        pushed.finish(cloud, body["id"], body["size"], body["sha512"])

    cloud.hosts.offer("image.describe", lambda host, body: copies.describe(cloud, body["id"]))
    cloud.hosts.offer("image.read", lambda host, body: copies.read(cloud, body["id"], body["offset"], body["length"]))
    cloud.hosts.offer("image.write", write)
    cloud.hosts.offer("image.finish", finish)
    cloud.hosts.on_connect(joined)
    cloud.outbox.subscribe(events.DELETE, deleted)
