# SPDX-License-Identifier: Apache-2.0
"""What is heard from hosts: how much room they have, whenever they join, and that they need what opens disks."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.link.controller import HostInfo
from cumulet.services.block_storage.logic import backends, exports, keys, targets


def listen(cloud: Cloud) -> None:
    """Keep what each host that joins says of its volumes, and give those what they open others' disks with."""

    def joined(host: HostInfo, report: dict[str, Any]) -> None:
        said = report.get("block_storage")
        if said is not None:
            backends.heard(cloud, host.name, said, joined=True)

    cloud.hosts.on_connect(joined)
    cloud.hosts.offer("volume.key", lambda host, body: keys.for_host(cloud, host, body))
    cloud.hosts.offer("volume.certificate", lambda host, body: exports.certificate(cloud, host, body))
    cloud.hosts.offer("volume.secret", lambda host, body: targets.secret(cloud, host, body))
