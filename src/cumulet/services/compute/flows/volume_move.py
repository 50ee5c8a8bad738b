# SPDX-License-Identifier: Apache-2.0
"""Moving a server's volume to another back end: the server keeps its device, the volume its id.

A running server's hypervisor mirrors the disk to the new one and exchanges the two. The volume of one that does not run
is copied closed. What the host has exchanged stays so: an undoing finds out which disk the server has. Rows of both
services change in the commit that ends the flow.

Arguments: `volume`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import NotFound, NotReady, Unsupported
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.contract import Connection, VolumesContract
from cumulet.services.compute.flows.common import server_of, tell_host
from cumulet.services.compute.logic import actions, spec, volume_move, volumes
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Device, Server

COPY_TIME = 3600.0  # seconds that the copying may take


def make(run: Run) -> None:
    """An empty disk at the target."""
    _found(run)
    _volumes(run).move_make(run.args["volume"])
    run.state["made"] = True


def drop(run: Run) -> Commit | None:
    """Nothing is left at the target; never while it is not known whether the server has it."""
    if run.state.get("made") and not run.state.get("settled"):
        commit = settle(run)
        if commit is not None:
            return commit
    _volumes(run).move_drop(run.args["volume"])
    return None


def exchange(run: Run) -> Commit:
    """Have the server's volume there, with all that it holds."""
    server, device = _found(run)
    has = _settle(run, server)
    if has["done"]:
        return _done(run, server)
    if has["open"]:
        connection = _volumes(run).move_connect(run.args["volume"], server.host, both=True)
        if not _tell(run, server, device, "move_volume", connection):
            raise NotReady(f"Server {server.id} has just ended.")
        return _done(run, server)
    _volumes(run).move_disconnect(run.args["volume"], closed=False)
    _volumes(run).move_copy(run.args["volume"], f"{run.id}:{run.request_id}")
    if server.host:
        connection = _volumes(run).move_connect(run.args["volume"], server.host, both=False)
        if not _tell(run, server, device, "place_volume", connection):
            raise NotReady(f"Server {server.id} has just been started.")
    return _done(run, server)


def settle(run: Run) -> Commit | None:
    """On which disk has the server its volume now? It stays there."""
    server, device = volumes.find(run.cloud.db, run.subject, run.args["volume"])
    if server is None or device is None or not _volumes(run).move_generation(run.args["volume"]):
        run.state["settled"] = True
        return None
    try:
        has = _settle(run, server)
    except Unsupported:  # a host of the release before has begun nothing
        has = {"done": False, "open": True}
    if has["done"]:
        return _done(run, server)
    _volumes(run).move_disconnect(run.args["volume"], closed=not has["open"])
    if server.host and not has["open"]:
        # Its way to a volume of another host may be another one by now.
        connection = volumes.connect(run.cloud, server, device)
        if connection is not None:
            _tell(run, server, device, "place_volume", connection)
    run.state["settled"] = True
    return None


def failed(run: Run) -> Commit:
    def commit(tx: Tx) -> None:
        if run.state.get("made") and not run.state.get("settled") and _volumes(run).move_generation(run.args["volume"]):
            # Its host was not to be asked, and the server may have either disk: the row does not say anything yet.
            run.cloud.sagas.start(tx, volume_move.MOVE, run.subject, run.args, run.request_id)
            return
        _volumes(run).move_failed(tx, run.args["volume"], run.request_id)
        server = store.find(tx, run.subject)
        if server is not None:
            actions.event_ended(tx, server.id, run.request_id, volume_move.EVENT, server.host, run.error)

    return commit


def _volumes(run: Run) -> VolumesContract:
    return run.cloud.contracts.use(VolumesContract)


def _settle(run: Run, server: Server) -> Any:
    """Whether the server has the volume there, and has it `open`. Those on no host have nothing open."""
    generation = _volumes(run).move_generation(run.args["volume"])
    if not server.host:
        return {"done": False, "open": False}
    return tell_host(run, server, "settle_volume", volume_id=run.args["volume"], generation=generation)


def _tell(run: Run, server: Server, device: Device, verb: str, connection: Connection) -> bool:
    volume = msgspec.to_builtins(spec.volume_spec(device, connection))
    return bool(tell_host(run, server, verb, COPY_TIME, volume=volume)["done"])


def _done(run: Run, server: Server) -> Commit:
    if server.host:
        _volumes(run).move_leave(run.args["volume"], server.host)

    def commit(tx: Tx) -> None:
        _volumes(run).moved(tx, run.args["volume"], run.request_id)
        actions.event_ended(tx, server.id, run.request_id, volume_move.EVENT, server.host)

    return commit


def _found(run: Run) -> tuple[Server, Device]:
    server, volume_id = server_of(run), run.args["volume"]
    _, device = volumes.find(run.cloud.db, server.id, volume_id)
    if device is None:
        raise NotFound(f"Instance {server.id} is not attached to volume {volume_id}", code="DiskNotFound")
    return server, device


FLOW = Flow(volume_move.MOVE, (Step("make", make, drop), Step("exchange", exchange, settle)), failed)
