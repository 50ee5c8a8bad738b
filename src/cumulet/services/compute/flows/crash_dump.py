# SPDX-License-Identifier: Apache-2.0
"""The interrupt upon which a guest writes a dump of itself."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.compute.flows.common import server_of, tell_host
from cumulet.services.compute.logic import actions, guest_calls
from cumulet.services.compute.store import servers as store

EVENT = "compute_trigger_crash_dump"


def interrupt(run: Run) -> Commit:
    server = server_of(run)
    tell_host(run, server, "interrupt")
    return lambda tx: actions.event_ended(tx, server.id, run.request_id, EVENT, server.host)


def failed(run: Run) -> Commit:
    def commit(tx: Tx) -> None:
        server = store.find(tx, run.subject)
        if server is not None:
            actions.event_ended(tx, server.id, run.request_id, EVENT, server.host, run.error)

    return commit


FLOW = Flow(guest_calls.CRASH_DUMP, (Step("interrupt", interrupt),), failed)
