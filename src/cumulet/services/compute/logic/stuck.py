# SPDX-License-Identifier: Apache-2.0
"""Servers that are in the middle of something that nobody works on any more: they are brought to an end of it."""

from __future__ import annotations

import logging
from datetime import timedelta

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.services.compute import events
from cumulet.services.compute.logic import delete, migrations, servers, soft_delete
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Server, TaskState, VmState

LOG = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=5)  # a task that changed later than that is not looked at
# What was done to servers in these may be done by half: nobody can say what the server is.
_HALFWAY = frozenset(
    {
        TaskState.REBUILDING,
        TaskState.REBUILD_BLOCK_DEVICE_MAPPING,
        TaskState.REBUILD_SPAWNING,
        TaskState.RESIZE_PREP,
        TaskState.RESIZE_MIGRATING,
        TaskState.RESIZE_MIGRATED,
        TaskState.RESIZE_FINISH,
        TaskState.RESIZE_CONFIRMING,
        TaskState.RESIZE_REVERTING,
        TaskState.MIGRATING,
        TaskState.SHELVING_OFFLOADING,
        TaskState.UNSHELVING,
    }
)
_AGAIN = {TaskState.DELETING: delete.DELETE, TaskState.SOFT_DELETING: soft_delete.SOFT_DELETE}


def heal(cloud: Cloud) -> None:
    """End every task that no saga carries: a deletion goes on, what was halfway is broken, the rest is as it was.

    What the last ones do then is taken over from their hosts.
    """
    for server in store.busy_since(cloud.db, clock.utcnow() - PATIENCE):
        if not cloud.sagas.unfinished(cloud.db, server.id):
            cloud.db.write(lambda tx, each=server: _end(cloud, tx, each))  # type: ignore[misc]


def _end(cloud: Cloud, tx: Tx, server: Server) -> None:
    unchanged = {"task_state": server.task_state, "vm_state": server.vm_state, "updated_at": server.updated_at}
    if cloud.sagas.unfinished(tx, server.id) or not store.change(tx, server.id, {"progress": 0}, only_if=unchanged):
        return
    LOG.warning("server %s is %s, and nobody works on it", server.id, server.task_state or server.vm_state)
    task = None if server.task_state is None else TaskState(server.task_state)
    if task in _AGAIN:
        servers.change(tx, server.id)
        cloud.sagas.start(tx, _AGAIN[task], server.id)
    elif server.state is VmState.BUILDING or task in _HALFWAY:
        for each in migrations.unended(tx, server.id):
            migrations.end(cloud, tx, each, migrations.ERROR)
        servers.fail(tx, server.id, f"Nobody carries on with {server.task_state or 'the building'}.")
    else:
        servers.change(tx, server.id, task_state=None)
    fresh = store.find(tx, server.id)
    assert fresh is not None
    cloud.outbox.publish(tx, "compute.instance.update", events.payload(fresh))
