# SPDX-License-Identifier: Apache-2.0
"""Periodic work: notes which hosts are there, lets them catch up after lost wake-ups, moves routers off dead ones, lets
RBAC policies follow what the release before shares, and tells placement of segments' addresses.
"""

from __future__ import annotations

import logging
import time
import zlib

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.periodic import Periodic
from cumulet.services.network.flows.converge import Converger
from cumulet.services.network.logic import agents, binding, concern, ha, scheduling, segment_inventories, sharing
from cumulet.services.network.types import Port, Router

LOG = logging.getLogger(__name__)

PERIOD = 30.0
ROUNDS = 10  # of these, each host is compared with the rows in one: comparing thousands at once takes long


def note_hosts(cloud: Cloud) -> None:
    """Keep the agents' heartbeats, and have some hosts compared with the rows."""
    round_now = int(time.monotonic() / PERIOD) % ROUNDS
    there = [info.name for info in cloud.hosts.connected()]

    def write(tx: Tx) -> None:
        for host in agents.seen(tx, there):
            revived = binding.revive(cloud, tx, host)
            cloud.contracts.use(Converger).tell(tx, concern.of(tx, Port, revived))

    if there:
        cloud.db.write(write)
        cloud.contracts.use(Converger).wake(name for name in there if zlib.crc32(name.encode()) % ROUNDS == round_now)


def rescue_routers(cloud: Cloud) -> None:
    """Move routers off hosts that have been dead for long, or are disabled.

    A control plane that has only just begun does nothing: hosts need a moment to come back to it.
    """
    patience = cloud.settings.network.router_patience
    if cloud.keep(Watch).seconds() < patience or not scheduling.refuge(cloud.db):
        return
    rescue_shared(cloud, patience)

    def write(tx: Tx) -> None:
        for router in scheduling.abandoned(tx, patience):
            concerned = concern.of(tx, Router, [router.id])
            host = scheduling.choose_for(tx, router)
            scheduling.move(tx, router.id, host)
            cloud.contracts.use(Converger).tell(tx, concerned | concern.of(tx, Router, [router.id]))
            LOG.warning("router %s leaves host %s, dead or disabled, for host %s", router.id, router.host, host)

    if scheduling.abandoned(cloud.db, patience):
        cloud.db.write(write)


def rescue_shared(cloud: Cloud, patience: float) -> None:
    """Put other hosts in the place of those that share HA routers and are dead or disabled."""

    def write(tx: Tx) -> None:
        for router in ha.lame(tx, patience):
            concerned = concern.of(tx, Router, [router.id])
            if ha.rescue(cloud, tx, router, patience):
                cloud.contracts.use(Converger).tell(tx, concerned | concern.of(tx, Router, [router.id]))
                LOG.warning("HA router %s has other hosts: some of its were dead or disabled", router.id)

    if ha.lame(cloud.db, patience):
        cloud.db.write(write)


def mend_sharing(cloud: Cloud) -> None:
    """Give what the release before has shared its policies; while an upgrade is under way both releases write."""
    if sharing.is_torn(cloud.db):
        cloud.db.write(sharing.mend)


class Watch:
    """Since when this process has been looking at hosts."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began


LOOPS = (
    Periodic("network.hosts", PERIOD, note_hosts, everywhere=True),
    Periodic("network.routers", 5.0, rescue_routers),
    Periodic("network.sharing", 300.0, mend_sharing),
    Periodic("network.segments", PERIOD, segment_inventories.settle_all),
)
