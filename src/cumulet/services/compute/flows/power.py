# SPDX-License-Identifier: Apache-2.0
"""Start, stop, reboot, pause, unpause: one step each."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Action, Commit, Flow, Run, Step
from cumulet.services.compute import events
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.logic import actions, power
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import PowerState, Server, TaskState, VmState
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


def _flow(name: str, event: str, work: object, arrives: VmState, level: PowerState, *, breaks: bool) -> Flow:
    def do(run: Run) -> Commit:
        server = server_of(run)
        assert callable(work)
        work(run, server)
        return lambda tx: _arrive(run, tx, server)

    def _arrive(run: Run, tx: Tx, server: Server) -> None:
        now = store.find(tx, server.id)
        if now is not None and now.task_state != TaskState.DELETING:
            power.arrived(tx, server.id, arrives, level)
        actions.event_ended(tx, server.id, run.request_id, event, server.host)
        fresh = store.find(tx, server.id)
        assert fresh is not None
        topic = f"compute.instance.{name.partition('.')[2]}.end"
        run.cloud.outbox.publish(tx, topic, events.payload(fresh), run.request_id)

    def failed(run: Run) -> Commit:
        def commit(tx: Tx) -> None:
            server = store.find(tx, run.subject)
            if server is None:
                return
            actions.event_ended(tx, server.id, run.request_id, event, server.host, run.error)
            if server.task_state != TaskState.DELETING:
                power.came_to_nothing(tx, server.id, run.error or "", broken=breaks)

        return commit

    step: Action = do
    return Flow(name, (Step("do", step),), failed)


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
