# SPDX-License-Identifier: Apache-2.0
"""Plugging ports into servers, and out."""

from __future__ import annotations

import msgspec

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Action, Commit, Flow, Run, Step
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.logic import actions, interfaces, parts, spec
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Server
from cumulet.services.network.contract import NetworkContract

ATTACH_EVENT, DETACH_EVENT = "compute_attach_interface", "compute_detach_interface"


def plug(run: Run) -> Commit | None:
    """Let the host plug the port in, once its rules are in force there."""
    server = server_of(run)
    _put_in(run, server)
    return lambda tx: actions.event_ended(tx, server.id, run.request_id, ATTACH_EVENT, server.host)


def unplug(run: Run) -> Commit:
    """Let the host take it out again; the port is released."""
    _take_out(run)
    return lambda tx: _release(run, tx)


def take_out(run: Run) -> Commit:
    server = server_of(run)
    _take_out(run)

    def commit(tx: Tx) -> None:
        _release(run, tx)
        actions.event_ended(tx, server.id, run.request_id, DETACH_EVENT, server.host)

    return commit


def put_back(run: Run) -> None:
    """The port stays where it is after all, though the host may have taken it out already."""
    server = store.find(run.cloud.db, run.subject)
    if server is not None and server.host:
        _put_in(run, server)


def tidy(run: Run) -> Commit | None:
    """Let the host take the port's rules away."""
    server = store.find(run.cloud.db, run.subject)
    if server is not None and server.host:
        run.cloud.contracts.use(NetworkContract).nudge(server.host)
    return None


def _failed(event: str) -> Action:
    def failed(run: Run) -> Commit:
        def commit(tx: Tx) -> None:
            server = store.find(tx, run.subject)
            if server is not None:
                actions.event_ended(tx, server.id, run.request_id, event, server.host, run.error)

        return commit

    return failed


def _put_in(run: Run, server: Server) -> None:
    port = next((each for each in spec.ports(run.cloud, server) if each.id == run.args["port"]), None)
    if port is not None:
        run.cloud.contracts.use(NetworkContract).converge(server.host)
        tell_host(run, server, "attach_port", port=msgspec.to_builtins(spec.port_spec(server, port)))


def _take_out(run: Run) -> None:
    server = store.find(run.cloud.db, run.subject)
    if server is not None and server.host:
        tell_host(run, server, "detach_port", LONG, port_id=run.args["port"])


def _release(run: Run, tx: Tx) -> None:
    run.cloud.contracts.use(NetworkContract).release_ports(tx, run.subject, [run.args["port"]])
    parts.drop_port(tx, run.subject, run.args["port"])


FLOWS = (
    Flow(interfaces.ATTACH, (Step("plug", plug, unplug),), _failed(ATTACH_EVENT)),
    Flow(interfaces.DETACH, (Step("take_out", take_out, put_back), Step("tidy", tidy)), _failed(DETACH_EVENT)),
)
