# SPDX-License-Identifier: Apache-2.0
"""What compute hears from hosts: reports, ends of servers, guests' questions about themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.link.controller import HostInfo
from cumulet.services.compute.logic import consoles, hosts, metadata, power
from cumulet.services.network.contract import MetadataQuery

SERVICE = "compute"


def listen(cloud: Cloud) -> None:
    """Take news from hosts from now on."""

    def joined(info: HostInfo, report: dict[str, Any]) -> None:
        if SERVICE in report:
            hosts.joined(cloud, info.name, report[SERVICE])
            power.heard(cloud, info.name, report[SERVICE]["servers"])

    def stopped(host: str, body: dict[str, Any]) -> None:
        power.ended(cloud, host, body["id"])

    def changed(host: str, body: dict[str, Any]) -> None:
        power.changed(cloud, host, body["id"])

    def asked(_host: str, body: dict[str, Any]) -> Any:
        return msgspec.to_builtins(metadata.answer(cloud, msgspec.convert(body, MetadataQuery)), builtin_types=(bytes,))

    cloud.hosts.on_connect(joined)
    cloud.hosts.on_event("server.stopped", stopped)
    cloud.hosts.on_event("server.power", changed)
    cloud.hosts.offer("compute.metadata", asked)
    cloud.hosts.offer("compute.console_certificate", lambda host, body: consoles.certificate(cloud, host, body))
