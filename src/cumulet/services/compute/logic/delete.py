# SPDX-License-Identifier: Apache-2.0
"""Deleting servers."""

from __future__ import annotations

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute import events
from cumulet.services.compute.logic import actions, consoles, migrations, parts, servers
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import life as life_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import PowerState, Server, TaskState, VmState
from cumulet.services.image.contract import ImageContract
from cumulet.services.network.contract import NetworkContract
from cumulet.services.placement.contract import PlacementContract

DELETE = "compute.delete"


def delete(cloud: Cloud, ctx: Context, server_id: str) -> None:
    """Begin to delete; what is under way is undone first. A second request changes nothing."""

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        servers.check_unlocked(ctx, server)
        if server.task_state == TaskState.DELETING:
            return
        actions.begin(tx, ctx, server.id, "delete")
        begin(cloud, tx, server, ctx.request_id)

    cloud.db.write(write)


def begin(cloud: Cloud, tx: Tx, server: Server, request_id: str) -> None:
    """Start to delete the server, at whoever's wish."""
    cloud.sagas.cancel(tx, server.id)
    servers.begin_task(tx, server, TaskState.DELETING, progress=0)
    cloud.sagas.start(tx, DELETE, server.id, {}, request_id)
    cloud.outbox.publish(tx, "compute.instance.delete.start", events.payload(server), request_id)


def release(cloud: Cloud, tx: Tx, server_id: str, request_id: str) -> None:
    """Give back everything that the server held, in one commit; idempotent."""
    cloud.contracts.use(NetworkContract).release_server(tx, server_id)
    volumes = cloud.contracts.use(VolumesContract)
    volumes.release(tx, server_id)
    for device in devices_store.of_server(tx, server_id):
        if device.volume_id is not None and device.delete_on_termination:
            volumes.delete_on_termination(tx, device.volume_id, request_id)
    devices_store.remove_all(tx, server_id)
    kept = life_store.find(tx, server_id)
    if kept.shelved_image_id is not None:
        cloud.contracts.use(ImageContract).delete(tx, kept.shelved_image_id)
    cloud.contracts.use(PlacementContract).release(tx, server_id)
    parts.release(tx, server_id)


def finish(cloud: Cloud, tx: Tx, server_id: str, request_id: str) -> None:
    """The host has let go of the server: nothing of it is left but its row."""
    server = store.find(tx, server_id)
    if server is None:
        return
    release(cloud, tx, server_id, request_id)
    migrations.server_gone(cloud, tx, server_id)
    consoles.forget(tx, server_id)
    life_store.forget_all(tx, server_id)
    store.replace_tags(tx, server_id, [])
    actions.event_ended(tx, server_id, request_id, "compute_terminate_instance", server.host)
    now = clock.utcnow()
    values = {
        "vm_state": VmState.DELETED.value,
        "task_state": None,
        "power_state": PowerState.NOSTATE.value,
        "terminated_at": now,
        "deleted_at": now,
        "group_id": None,
    }
    servers.change(tx, server_id, **values)
    gone = store.find_any(tx, server_id)
    assert gone is not None
    cloud.outbox.publish(tx, "compute.instance.delete.end", events.payload(gone), request_id)
