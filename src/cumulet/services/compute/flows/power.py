# SPDX-License-Identifier: Apache-2.0
"""Start, stop, reboot, pause, unpause: one step each."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Flow, Run
from cumulet.services.compute.flows.common import LONG, tell_host
from cumulet.services.compute.flows.one_step import Work, one_step
from cumulet.services.compute.logic import power
from cumulet.services.compute.types import PowerState, Server, VmState
from cumulet.services.network.contract import NetworkContract


def _start(run: Run, server: Server) -> None:
    run.cloud.contracts.use(NetworkContract).converge(server.host)
    tell_host(run, server, "start", LONG)


def _stop(run: Run, server: Server) -> None:
    tell_host(run, server, "stop", LONG, timeout=run.cloud.settings.compute.stop_timeout)


def _reboot(run: Run, server: Server) -> None:
    run.cloud.contracts.use(NetworkContract).converge(server.host)
    timeout = run.cloud.settings.compute.stop_timeout
    tell_host(run, server, "reboot", LONG, soft=run.args["soft"], timeout=timeout)


def _flow(name: str, event: str, work: Work, state: VmState, level: PowerState, *, breaks: bool) -> Flow:
    def arrive(_run: Run, tx: Tx, server: Server) -> None:
        power.arrived(tx, server.id, state, level)

    return one_step(name, event, work, arrive, breaks=breaks)


FLOWS = (
    _flow("compute.start", "compute_start_instance", _start, VmState.ACTIVE, PowerState.RUNNING, breaks=True),
    _flow("compute.stop", "compute_stop_instance", _stop, VmState.STOPPED, PowerState.SHUTDOWN, breaks=False),
    _flow("compute.reboot", "compute_reboot_instance", _reboot, VmState.ACTIVE, PowerState.RUNNING, breaks=True),
    _flow(
        "compute.pause",
        "compute_pause_instance",
        lambda run, server: tell_host(run, server, "pause"),
        VmState.PAUSED,
        PowerState.PAUSED,
        breaks=False,
    ),
    _flow(
        "compute.unpause",
        "compute_unpause_instance",
        lambda run, server: tell_host(run, server, "unpause"),
        VmState.ACTIVE,
        PowerState.RUNNING,
        breaks=False,
    ),
)
