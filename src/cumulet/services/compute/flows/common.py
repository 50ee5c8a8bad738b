# SPDX-License-Identifier: Apache-2.0
"""What the flows share."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.context import Context
from cumulet.kernel.errors import Gone
from cumulet.kernel.saga import Run
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Server

LONG = 900.0  # seconds for what copies disks or waits for a guest


def server_of(run: Run) -> Server:
    """The saga's server; Gone where it was deleted meanwhile."""
    found = store.find(run.cloud.db, run.subject)
    if found is None:
        raise Gone(f"Instance {run.subject} could not be found.", code="InstanceNotFound")
    return found


def context_of(run: Run) -> Context:
    """The caller who asked for it."""
    return msgspec.convert(run.args["ctx"], Context)


def tell_host(run: Run, server: Server, verb: str, within: float = 120.0, **body: Any) -> Any:
    """Ask the server's host to do something with it."""
    return run.cloud.hosts.call(server.host, f"server.{verb}", {"id": server.id, **body}, timeout=within)
