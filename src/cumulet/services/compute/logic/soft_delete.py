# SPDX-License-Identifier: Apache-2.0
"""Servers that are deleted for the time being: for as long as the settings say they can be had back."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.compute import events
from cumulet.services.compute.logic import actions, delete, life, quotas, servers, shelve
from cumulet.services.compute.logic.guest import needs
from cumulet.services.compute.store import life as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import PowerState, Server, TaskState, VmState

SOFT_DELETE = "compute.soft_delete"


def delete_for_now(cloud: Cloud, ctx: Context, server_id: str) -> None:
    """Begin to delete; a server that ever ran can be restored where the settings leave time for that."""
    if cloud.settings.compute.reclaim_instance_interval == 0:
        delete.delete(cloud, ctx, server_id)
        return

    def write(tx: Tx) -> bool:
        server = servers.get(tx, ctx, server_id)
        servers.check_unlocked(ctx, server)
        if server.task_state in (TaskState.DELETING, TaskState.SOFT_DELETING) or server.state is VmState.SOFT_DELETED:
            return True
        if server.launched_at is None:
            return False
        cloud.sagas.cancel(tx, server.id)
        servers.begin_task(tx, server, TaskState.SOFT_DELETING, progress=0)
        actions.begin(tx, ctx, server.id, "delete")
        cloud.sagas.start(tx, SOFT_DELETE, server.id, {}, ctx.request_id)
        cloud.outbox.publish(tx, "compute.instance.soft_delete.start", events.payload(server), ctx.request_id)
        return True

    if not cloud.db.write(write):
        delete.delete(cloud, ctx, server_id)


def deleted(tx: Tx, server: Server) -> None:
    """The server is off: from now on it waits for its end."""
    store.change(tx, server.id, soft_deleted_at=clock.utcnow())
    values = {"vm_state": VmState.SOFT_DELETED.value, "task_state": None}
    servers.change(tx, server.id, power_state=PowerState.SHUTDOWN.value, **values)


def restore(cloud: Cloud, ctx: Context, server_id: str) -> None:
    """Begin to have the server back; OverQuota where others have taken its place."""

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        life.check(ctx, server, life.RESTORE)
        claim = needs.claim(server.kind, server.image.get("properties", {}), with_disk=bool(server.image_id))
        quotas.servers_allowed(cloud, tx, (server.project_id, server.user_id), quotas.Servers(server.kind, claim))
        life.begin(cloud, tx, ctx, server, life.RESTORE)

    cloud.db.write(write)


def restored(cloud: Cloud, tx: Tx, server: Server) -> None:
    """The server is as before its deletion: it runs, or rests on no host if it did."""
    was_shelved = not server.host
    state, power = VmState.ACTIVE, PowerState.RUNNING
    if was_shelved:
        state, power = VmState.SHELVED_OFFLOADED, PowerState.SHUTDOWN
        store.change(tx, server.id, soft_deleted_at=None)
    else:
        shelve.drop_image(cloud, tx, server.id)  # it had been shelved on its host
        store.forget(tx, server.id)
    servers.change(tx, server.id, vm_state=state.value, task_state=None, power_state=power.value, fault=None)


def reclaim(cloud: Cloud) -> None:
    """Delete for good what nobody wanted back in time."""
    patience = cloud.settings.compute.reclaim_instance_interval
    if patience == 0:
        return
    for server_id in store.soft_deleted_before(cloud.db, clock.utcnow() - timedelta(seconds=patience)):
        cloud.db.write(partial(_end, cloud, server_id))


def _end(cloud: Cloud, server_id: str, tx: Tx) -> None:
    server = servers_store.find(tx, server_id)
    if server is not None and server.state is VmState.SOFT_DELETED and server.task_state is None:
        delete.begin(cloud, tx, server, ids.new_request_id())
