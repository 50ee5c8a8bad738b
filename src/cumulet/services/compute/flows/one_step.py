# SPDX-License-Identifier: Apache-2.0
"""Flows that ask the host once and say what the server is then."""

from __future__ import annotations

from collections.abc import Callable

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Action, Commit, Flow, Run, Step
from cumulet.services.compute import events
from cumulet.services.compute.flows.common import server_of
from cumulet.services.compute.logic import actions, life, servers
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Server, TaskState

Work = Callable[[Run, Server], None]
Arrival = Callable[[Run, Tx, Server], None]


def one_step(
    name: str, event: str, work: Work, arrive: Arrival, *, undo: Work | None = None, breaks: bool = False
) -> Flow:
    """`work(run, server)` asks the host, `arrive(run, tx, server)` writes down what follows, `undo` takes it back.

    A server with which it fails is as before, or broken where it `breaks`.
    """

    def do(run: Run) -> Commit:
        server = server_of(run)
        work(run, server)
        return lambda tx: arrived(run, tx, event, arrive)

    def take_back(run: Run) -> None:
        server = store.find(run.cloud.db, run.subject)
        if server is not None and undo is not None:
            undo(run, server)

    steps = (Step("do", do, take_back if undo is not None else None),)
    return Flow(name, steps, failed(event, breaks=breaks))


def arrived(run: Run, tx: Tx, event: str, arrive: Arrival) -> None:
    """The last commit: nothing is said of a server that is being deleted meanwhile."""
    server = store.find(tx, run.subject)
    if server is None:
        return
    if server.task_state != TaskState.DELETING:
        arrive(run, tx, server)
    actions.event_ended(tx, server.id, run.request_id, event, server.host)
    fresh = store.find(tx, server.id)
    assert fresh is not None
    run.cloud.outbox.publish(tx, topic(event), events.payload(fresh), run.request_id)


def failed(event: str, *, breaks: bool = False, also: Callable[[Run, Tx], None] | None = None) -> Action:
    """The server is as before, or broken; `also(run, tx)` writes down what else follows."""

    def action(run: Run) -> Commit:
        def commit(tx: Tx) -> None:
            server = store.find(tx, run.subject)
            if also is not None:
                also(run, tx)
            if server is None:
                return
            actions.event_ended(tx, server.id, run.request_id, event, server.host, run.error)
            if server.task_state == TaskState.DELETING:
                return
            if breaks:
                servers.fail(tx, server.id, run.error or "")
            else:
                life.reset_task(tx, server.id)

        return commit

    return action


def topic(event: str) -> str:
    """The notification's name: `compute.instance.rescue.end` of `compute_rescue_instance`."""
    words = event.removeprefix("compute_").removesuffix("_instance")
    return f"compute.instance.{words}.end"
