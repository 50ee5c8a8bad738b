# SPDX-License-Identifier: Apache-2.0
"""Carries the tracked connections of ports that moved from the host that they left to the one where they are."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError
from cumulet.services.network.store import common
from cumulet.services.network.types import Port

LOG = logging.getLogger(__name__)

ASK, TELL = "network.connections", "network.adopt"
PATIENCE = 30.0  # seconds for the next host to have the port, and for each call

Wait = Callable[[str, float], None]


def carry(cloud: Cloud, wait: Wait, host: str, port_ids: Iterable[str]) -> None:
    """Begin to carry what `host` knows of these ports, which left it, to wherever each is bound now.

    `wait` blocks until a host has what was committed. Nothing is kept of it: where the control plane ends meanwhile, or
    a host is not there, guests have to begin their connections anew where no rule lets them go on.
    """
    moved: dict[str, list[str]] = defaultdict(list)
    for port in common.by_id(cloud.db, Port, port_ids).values():
        if port.host not in ("", host):
            moved[port.host].append(port.id)
    if moved:
        work = _Work(cloud, wait, host, moved)
        threading.Thread(target=work.run, name=f"connections from {host}", daemon=True).start()


class _Work:
    def __init__(self, cloud: Cloud, wait: Wait, source: str, moved: dict[str, list[str]]) -> None:
        self._cloud = cloud
        self._wait = wait
        self._source = source
        self._moved = moved

    def run(self) -> None:
        for target, port_ids in self._moved.items():
            for port_id in port_ids:  # those of one fit into a frame, those of many might not
                try:
                    self._carry(target, port_id)
                except CumuletError as error:
                    LOG.warning("connections of port %s stayed on host %s: %s", port_id, self._source, error)

    def _carry(self, target: str, port_id: str) -> None:
        found = self._cloud.hosts.call(self._source, ASK, {"ports": [port_id]}, timeout=PATIENCE)["connections"]
        if found:
            self._wait(target, PATIENCE)
            taken = self._cloud.hosts.call(target, TELL, {"connections": found}, timeout=PATIENCE)["taken"]
            LOG.info("%s of %s connections moved from %s to %s", taken, len(found), self._source, target)
