# SPDX-License-Identifier: Apache-2.0
"""Rescue: the server boots from another disk, and back."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Run
from cumulet.services.compute.flows.common import LONG, tell_host
from cumulet.services.compute.flows.one_step import one_step
from cumulet.services.compute.logic import life, power
from cumulet.services.compute.store import life as store
from cumulet.services.compute.types import PowerState, Server, VmState
from cumulet.services.network.contract import NetworkContract


def _rescue(run: Run, server: Server) -> None:
    run.cloud.contracts.use(NetworkContract).converge(server.host)
    timeout = run.cloud.settings.compute.stop_timeout
    tell_host(run, server, "rescue", LONG, rescue=run.args["rescue"], timeout=timeout)


def _leave_alone(run: Run, server: Server) -> None:
    """Back to its own disk, running or not as before."""
    tell_host(run, server, "unrescue", LONG, start=run.args["was"] == VmState.ACTIVE)


def _unrescue(run: Run, server: Server) -> None:
    run.cloud.contracts.use(NetworkContract).converge(server.host)
    tell_host(run, server, "unrescue", LONG)


def _rescue_again(run: Run, server: Server) -> None:
    kept = life.find(run.cloud.db, server.id).rescue
    if kept is not None:
        tell_host(run, server, "rescue", LONG, rescue=kept)


def _rescued(_run: Run, tx: Tx, server: Server) -> None:
    power.arrived(tx, server.id, VmState.RESCUED, PowerState.RUNNING)


def _unrescued(_run: Run, tx: Tx, server: Server) -> None:
    store.forget(tx, server.id)
    power.arrived(tx, server.id, VmState.ACTIVE, PowerState.RUNNING)


FLOWS = (
    one_step(life.RESCUE.flow, "compute_rescue_instance", _rescue, _rescued, undo=_leave_alone),
    one_step(life.UNRESCUE.flow, "compute_unrescue_instance", _unrescue, _unrescued, undo=_rescue_again),
)
