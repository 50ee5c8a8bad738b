# SPDX-License-Identifier: Apache-2.0
"""Periodic work: ask every host how much room it has and what it exports, and forget old messages and storages."""

from __future__ import annotations

import logging

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.periodic import Periodic
from cumulet.services.block_storage.logic import backends, exports, messages, sharing

LOG = logging.getLogger(__name__)

HEARTBEAT = 20.0  # seconds
TIDY = 3600.0  # seconds


def ask_hosts(cloud: Cloud) -> None:
    for host in cloud.hosts.connected():
        try:
            report = cloud.hosts.call(host.name, "volume.report", {}, timeout=10.0)
            backends.heard(cloud, host.name, report)
            exports.tidy(cloud, host.name, report.get("exports", {}))
        except CumuletError as error:
            LOG.warning("host %s does not say how its volumes are: %s", host.name, error.message)


def forget_messages(cloud: Cloud) -> None:
    cloud.db.write(messages.forget_expired)


def forget_storages(cloud: Cloud) -> None:
    cloud.db.write(sharing.forget)


LOOPS = (
    Periodic("block_storage.backends", HEARTBEAT, ask_hosts),
    Periodic("block_storage.messages", TIDY, forget_messages),
    Periodic("block_storage.storages", TIDY, forget_storages),
)
