# SPDX-License-Identifier: Apache-2.0
"""Suspend, whose memory goes to disk, and resume."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Run
from cumulet.services.compute.flows.common import LONG, tell_host
from cumulet.services.compute.flows.one_step import one_step
from cumulet.services.compute.logic import life, power
from cumulet.services.compute.types import PowerState, Server, VmState
from cumulet.services.network.contract import NetworkContract


def _suspend(run: Run, server: Server) -> None:
    tell_host(run, server, "suspend", LONG)


def _resume(run: Run, server: Server) -> None:
    run.cloud.contracts.use(NetworkContract).converge(server.host)
    tell_host(run, server, "resume", LONG)


def _suspended(_run: Run, tx: Tx, server: Server) -> None:
    power.arrived(tx, server.id, VmState.SUSPENDED, PowerState.SHUTDOWN)


def _resumed(_run: Run, tx: Tx, server: Server) -> None:
    power.arrived(tx, server.id, VmState.ACTIVE, PowerState.RUNNING)


FLOWS = (
    one_step(life.SUSPEND.flow, "compute_suspend_instance", _suspend, _suspended, undo=_resume),
    one_step(life.RESUME.flow, "compute_resume_instance", _resume, _resumed, undo=_suspend),
)
