# SPDX-License-Identifier: Apache-2.0
"""The end of a server."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.compute.flows.common import LONG, tell_host
from cumulet.services.compute.logic import delete, hosts, servers, volumes
from cumulet.services.compute.store import servers as store
from cumulet.services.network.contract import NetworkContract


def destroy(run: Run) -> Commit | None:
    """Let the host remove the server with all its files; one that was declared down is not asked."""
    server = store.find(run.cloud.db, run.subject)
    if server is None or not server.host:
        return None
    run.state["host"] = server.host
    if not hosts.find(run.cloud.db, server.host).forced_down:
        tell_host(run, server, "destroy", LONG)
    for device in volumes.attached(run.cloud.db, server):
        volumes.disconnect(run.cloud, device)
    return None


def release(run: Run) -> Commit:
    """Give everything back and mark the server as deleted, in one commit."""

    def commit(tx: Tx) -> None:
        delete.finish(run.cloud, tx, run.subject, run.request_id)

    return commit


def tidy(run: Run) -> Commit | None:
    """Let the host take the ports' rules away."""
    if run.state.get("host"):
        run.cloud.contracts.use(NetworkContract).nudge(run.state["host"])
    return None


def failed(run: Run) -> Commit:
    return lambda tx: servers.fail(tx, run.subject, run.error or "The server could not be deleted.")


FLOW = Flow(delete.DELETE, (Step("destroy", destroy), Step("release", release), Step("tidy", tidy)), failed)
