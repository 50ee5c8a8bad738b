# SPDX-License-Identifier: Apache-2.0
"""Streams to consoles, wherever their hosts are."""

from __future__ import annotations

import ssl
import threading
import time
from pathlib import Path

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.link import pipes
from cumulet.kernel.link.names import door_name
from cumulet.services.compute.contract import ConsoleWay


class Credentials:
    """This process's certificate for the doors of hosts, made when one of another machine is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._made_at = 0.0

    def context(self, cloud: Cloud) -> ssl.SSLContext:
        """Raises NoMasterKey."""
        # Loaded late: a cloud of one machine never needs it, and it takes a tenth of a second.
        from cumulet.kernel.link import certificates
        from cumulet.kernel.link.authority import REPLICA_LIFETIME, Authority

        with self._lock:
            if self._context is None or time.monotonic() - self._made_at > REPLICA_LIFETIME / 2:
                authority = Authority(cloud.vault)
                certificate, key = authority.issue_replica(cloud.settings.replica, cloud.settings.host)
                self._context = certificates.client_context(authority.certificate, certificate, key)
                self._made_at = time.monotonic()
            return self._context


def prepare(cloud: Cloud, way: ConsoleWay) -> pipes.Way:
    """The way to the door of a console's host; plain code, for certificates come from the database."""
    path = Path(way.path) if Path(way.path).is_socket() else None
    context = cloud.keep(Credentials).context(cloud) if path is None and way.port else None
    return pipes.Way(path=path, address=way.address, port=way.port, name=door_name(way.host), context=context)


async def dial(way: ConsoleWay, door: pipes.Way) -> pipes.Stream:
    """A stream to the console. Raises NotReady."""
    return await pipes.dial({"server": way.server_id, "display": way.display}, door)
