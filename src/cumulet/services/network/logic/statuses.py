# SPDX-License-Identifier: Apache-2.0
"""The statuses of what routers consist of: as the hosts say that have taken them.

A router itself is ACTIVE from the start, wherever it is, as Neutron's are; and so is the port of a network's DHCP, for
which any host answers that has guests of the network.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from cumulet.kernel.db import Tx
from cumulet.services.network.logic.hosting.base import Snapshot
from cumulet.services.network.logic.hosting.distributed import central_ports
from cumulet.services.network.store import common
from cumulet.services.network.types import ACTIVE, DOWN, ERROR, FloatingIp, HostState, Port, Router


class Due(msgspec.Struct, kw_only=True):
    """Rows whose status is not what the host says: routers' ports and floating IPs by id."""

    ports: dict[str, str] = {}
    floating: dict[str, tuple[FloatingIp, str]] = {}


def due(host: str, rows: Snapshot, state: HostState, failed: Collection[str]) -> Due | None:
    """What is to be noted once `host` has taken `state`, compiled of `rows`, and failed to make some objects."""
    found = Due(ports={}, floating={})
    told = {router.id: router for router in state.routers}
    for router in (router for router in rows.routers if router.host == host):
        made = told.get(router.id)
        is_broken = made is None or router.id in failed
        up = set() if made is None or is_broken or not made.up else {leg.port_id for leg in made.every_leg}
        for port in (*rows.legs.get(router.id, []), *central_ports(rows, router.id)):
            status = ACTIVE if port.id in up else DOWN
            if port.status != status and port.host == host:
                found.ports[port.id] = status
        for floating in (each for each in rows.floating if each.router_id == router.id):
            status = ERROR if is_broken else ACTIVE
            if floating.status != status:
                found.floating[floating.id] = floating, status
    return found if found.ports or found.floating else None


def note(tx: Tx, host: str, news: Due) -> None:
    """Write it down, but for what has changed since: that is heard of again."""
    for status in set(news.ports.values()):
        keys = [key for key, said in news.ports.items() if said == status]
        here = [port.id for port in common.find_all(tx, Port, id=keys, host=[host])]
        common.set_quietly(tx, Port, here, {"status": status})
    rows = common.by_id(tx, FloatingIp, news.floating)
    routers = common.by_id(tx, Router, {row.router_id for row in rows.values() if row.router_id is not None})
    for key, (seen, status) in news.floating.items():
        row = rows.get(key)
        if row is not None and _leads(row) == _leads(seen) and routers[str(row.router_id)].host == host:
            common.set_quietly(tx, FloatingIp, [key], {"status": status})


def _leads(row: FloatingIp) -> tuple[str | None, str | None, str | None]:
    return row.router_id, row.port_id, row.fixed_ip_address
