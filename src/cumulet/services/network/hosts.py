# SPDX-License-Identifier: Apache-2.0
"""What the network service hears from hosts."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.link.controller import HostInfo
from cumulet.services.network.flows.converge import Converger
from cumulet.services.network.logic import (
    agents,
    binding,
    concern,
    ha,
    hosted,
    metering,
    resource_providers,
    scheduling,
)
from cumulet.services.network.store import lookups
from cumulet.services.network.types import HostReport, Network, Port, Router


def listen(cloud: Cloud) -> None:
    """Take reports at connect, news of ports, and the end of links."""
    converger = cloud.contracts.use(Converger)

    def joined(info: HostInfo, report: dict[str, Any]) -> None:
        said = msgspec.convert(report.get("network", {}), HostReport)

        def write(tx: Tx) -> None:
            before = lookups.agent_of(tx, info.name)
            moved = agents.endpoint_of(before) != said.endpoint
            found = hosted.came(tx) if agents.joined(tx, info.name, said) else set()
            resource_providers.joined(cloud, tx, before, info.name, said.offers)
            revived = binding.revive(cloud, tx, info.name)
            placed = scheduling.place(tx) + ha.fill_all(cloud, tx)
            concerned = concern.of_host(tx, info.name) if moved else set()
            concerned |= take_said(tx, info.name, said.active) | concern.of(tx, Port, revived)
            converger.tell(tx, concerned | concern.of(tx, Router, placed) | concern.of(tx, Network, found))

        cloud.db.write(write)
        converger.joined(info.name, said)

    def take_said(tx: Tx, host: str, active: list[str]) -> set[str]:
        """Keep which shared routers forward on a host; the hosts that have to know."""
        return concern.of(tx, Router, ha.said(tx, host, active))

    def routers(host: str, body: dict[str, Any]) -> None:
        active = msgspec.convert(body["active"], list[str])
        cloud.db.write(lambda tx: converger.tell(tx, take_said(tx, host, active)))

    def ports(host: str, body: dict[str, Any]) -> None:
        standing = set(msgspec.convert(body["ports"], list[str]))
        cloud.db.write(lambda tx: agents.ports_stand(tx, host, standing))

    cloud.hosts.on_connect(joined)
    cloud.hosts.on_disconnect(lambda info: cloud.db.write(lambda tx: agents.gone(tx, info.name)))
    cloud.hosts.on_replica_gone(converger.wake)
    cloud.hosts.on_event("network.ports", ports)
    cloud.hosts.offer(
        "network.meters", lambda host, body: metering.reported(cloud, host, body["batch"], body["meters"])
    )
    cloud.hosts.on_event("network.routers", routers)
