# SPDX-License-Identifier: Apache-2.0
"""Periodic work: hosts that are there are noted, and catch up with what a lost wake-up left out."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.periodic import Periodic
from cumulet.services.network.flows.converge import Converger
from cumulet.services.network.logic import agents


def note_hosts(cloud: Cloud) -> None:
    """Keep the agents' heartbeats, and have every host compared with the rows."""
    there = [info.name for info in cloud.hosts.connected()]
    if there:
        cloud.db.write(lambda tx: agents.seen(tx, there))
        cloud.contracts.use(Converger).wake()


LOOPS = (Periodic("network.hosts", 30.0, note_hosts),)
