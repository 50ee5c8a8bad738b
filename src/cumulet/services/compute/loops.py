# SPDX-License-Identifier: Apache-2.0
"""Compute's periodic work."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.periodic import Periodic
from cumulet.services.compute.logic import consoles, hosts, power, resize, servers, shelve, soft_delete, stuck

LOG = logging.getLogger(__name__)

AT_ONCE = 8  # hosts that are asked together
KEEP_DELETED = timedelta(days=30)


def look_after_hosts(cloud: Cloud) -> None:
    """Ask every host for the truth: what its servers do, what it has, what it spends; a slow one delays few."""
    with ThreadPoolExecutor(AT_ONCE, "host-reports") as pool:
        for _ in pool.map(partial(_look_after, cloud), [info.name for info in cloud.hosts.connected()]):
            pass


def forget_deleted(cloud: Cloud) -> None:
    """Remove the rows of servers that were deleted long ago."""
    servers.forget_deleted(cloud, clock.utcnow() - KEEP_DELETED)


def _look_after(cloud: Cloud, host: str) -> None:
    try:
        report = cloud.hosts.call(host, "server.report", {}, timeout=30.0)
    except CumuletError as error:
        LOG.info("host %s does not report: %s", host, error)
        return
    hosts.joined(cloud, host, report)
    power.heard(cloud, host, report["servers"])


LOOPS = [
    Periodic("compute.hosts", 30.0, look_after_hosts),
    Periodic("compute.consoles", 60.0, consoles.forget_expired),
    Periodic("compute.deleted", 3600.0, forget_deleted),
    Periodic("compute.confirm_resizes", 60.0, resize.confirm_old),
    Periodic("compute.stuck", 60.0, stuck.heal),
    Periodic("compute.shelved", 60.0, shelve.offload_old),
    Periodic("compute.reclaim", 60.0, soft_delete.reclaim),
]
