# SPDX-License-Identifier: Apache-2.0
"""Compute's periodic work."""

from __future__ import annotations

import logging
from datetime import timedelta

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.periodic import Periodic
from cumulet.services.compute.logic import hosts, power, servers

LOG = logging.getLogger(__name__)

KEEP_DELETED = timedelta(days=30)


def look_after_hosts(cloud: Cloud) -> None:
    """Ask every host for the truth: what its servers do, what it has, what it spends."""
    for info in cloud.hosts.connected():
        try:
            report = cloud.hosts.call(info.name, "server.report", {}, timeout=30.0)
        except CumuletError as error:
            LOG.info("host %s does not report: %s", info.name, error)
            continue
        hosts.joined(cloud, info.name, report)
        power.heard(cloud, info.name, report["servers"])


def forget_deleted(cloud: Cloud) -> None:
    """Remove the rows of servers that were deleted long ago."""
    servers.forget_deleted(cloud, clock.utcnow() - KEEP_DELETED)


LOOPS = [
    Periodic("compute.hosts", 30.0, look_after_hosts),
    Periodic("compute.deleted", 3600.0, forget_deleted),
]
