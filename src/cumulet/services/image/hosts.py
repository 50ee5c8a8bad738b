# SPDX-License-Identifier: Apache-2.0
"""What hosts ask of the image service, and what they are told: images to copy, snapshots to take, copies to forget."""

from __future__ import annotations

import logging
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db.outbox import Event
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.link.controller import HostInfo
from cumulet.services.image import events
from cumulet.services.image.logic import copies, pushed

LOG = logging.getLogger(__name__)

Body = dict[str, Any]


def listen(cloud: Cloud) -> None:
    """Answer the hosts' calls, and let them forget what is gone: at once, or when they come back."""

    def joined(host: HostInfo, report: Body) -> None:
        known: dict[str, str] = report.get("image", {}).get("copies", {})
        _forget(cloud, host.name, copies.outdated(cloud, known))

    def deleted(event: Event) -> None:
        for host in cloud.hosts.connected():
            _forget(cloud, host.name, [event.payload["id"]])

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


def _forget(cloud: Cloud, host: str, image_ids: list[str]) -> None:
    for image_id in image_ids:
        try:
            cloud.hosts.call(host, "image.forget", {"id": image_id})
        except CumuletError as error:
            # It reports its copies when it is back.
            LOG.info("host %s was not told that image %s is gone: %s", host, image_id, error.message)
