# SPDX-License-Identifier: Apache-2.0
"""Shelving: a server rests as an image of its disk, and after a while holds nothing of any host."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute.logic import hosts, life, parts, servers, snapshots, volumes
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import life as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import PowerState, Server, TaskState, VmState
from cumulet.services.image.contract import ImageContract
from cumulet.services.network.contract import NetworkContract
from cumulet.services.placement.contract import PlacementContract

AT_ONCE, NEVER = 0, -1


def shelve(cloud: Cloud, ctx: Context, server_id: str) -> None:
    """Begin to stop the server and to make an image of its disk; one that is a volume stays what it is."""
    server = servers.get(cloud.db, ctx, server_id)
    life.check(ctx, server, life.SHELVE)
    images = cloud.contracts.use(ImageContract)
    new = snapshots.of_root(server, f"{server.name}-shelved", "snapshot", {}) if server.image_id else None
    if new is not None:
        images.check_create(ctx, new)

    def write(tx: Tx) -> None:
        fresh = servers.get(tx, ctx, server_id)
        life.check(ctx, fresh, life.SHELVE)
        image_id = None if new is None else images.create(tx, ctx, new)
        store.change(tx, fresh.id, shelved_image_id=image_id)
        life.begin(cloud, tx, ctx, fresh, life.SHELVE, {"image": image_id})

    cloud.db.write(write)


def shelved(cloud: Cloud, tx: Tx, server: Server, request_id: str) -> None:
    """The server is off and its image whole: it rests; where it is not to stay on its host, it goes on from here.

    Not so one that was deleted for the time being meanwhile: that comes next.
    """
    store.change(tx, server.id, shelved_at=clock.utcnow())
    is_going = server.task_state == TaskState.SOFT_DELETING
    values = {"vm_state": VmState.SHELVED.value, "power_state": PowerState.SHUTDOWN.value}
    servers.change(tx, server.id, **values, **({} if is_going else {"task_state": None}))
    if is_going:
        return
    if not server.image_id or cloud.settings.compute.shelved_offload_time == AT_ONCE:
        _leave(cloud, tx, server.id, request_id)


def offload_old(cloud: Cloud) -> None:
    """Let servers leave their hosts that have been shelved for long."""
    patience = cloud.settings.compute.shelved_offload_time
    if patience == NEVER:
        return
    for server_id in store.shelved_before(cloud.db, clock.utcnow() - timedelta(seconds=patience)):
        cloud.db.write(partial(_leave_if_shelved, cloud, server_id))


def offloaded(cloud: Cloud, tx: Tx, server: Server) -> None:
    """The host has let go of the server: it holds nothing there any more, though its ports and volumes stay its own."""
    cloud.contracts.use(PlacementContract).release(tx, server.id)
    parts.release(tx, server.id)
    network = cloud.contracts.use(NetworkContract)
    ports = network.ports_of(tx, [server.id]).get(server.id, [])
    network.bind(tx, [port.id for port in ports], "")
    contract = cloud.contracts.use(VolumesContract)
    for device in devices_store.of_server(tx, server.id):
        if device.volume_id is not None and device.attached:
            if device.attachment_id is not None:
                contract.detach(tx, device.attachment_id)
            claim = contract.reserve(tx, life.owner(server), device.volume_id, server.id)
            devices_store.change(tx, device.id, {"attachment_id": claim.id, "attached": False})
    values = {"vm_state": VmState.SHELVED_OFFLOADED.value, "task_state": None, "host": ""}
    servers.change(tx, server.id, power_state=PowerState.SHUTDOWN.value, **values)


def unshelve(
    cloud: Cloud, ctx: Context, server_id: str, *, moves: bool = False, zone: str | None = None, host: str = ""
) -> None:
    """Begin to run the server again; in another zone (None: in any) where it `moves`, on `host` where one is named."""
    server = servers.get(cloud.db, ctx, server_id)
    life.check(ctx, server, life.UNSHELVE)
    if (moves or host) and server.state is not VmState.SHELVED_OFFLOADED:
        raise Conflict(
            f'Specifying an availability zone or a host when unshelving server "{server.id}" with status '
            f'"{server.vm_state}" is not supported. The server status must be SHELVED_OFFLOADED.',
            code="UnshelveInstanceInvalidState",
        )
    wanted = zone if moves else server.availability_zone
    if moves:
        hosts.check_zone(cloud.db, zone)
    if host:
        _check_host(cloud.db, host, wanted)

    def write(tx: Tx) -> None:
        fresh = servers.get(tx, ctx, server_id)
        life.check(ctx, fresh, life.UNSHELVE)
        life.begin(cloud, tx, ctx, fresh, life.UNSHELVE, {"host": host}, availability_zone=wanted)

    cloud.db.write(write)


def unshelved(cloud: Cloud, tx: Tx, server: Server) -> None:
    """The server runs: the image that it rested as is of no more use."""
    drop_image(cloud, tx, server.id)
    store.forget(tx, server.id)
    for device in volumes.attached(tx, server):
        volumes.plugged(cloud, tx, server, device)
    values = {"vm_state": VmState.ACTIVE.value, "task_state": None, "power_state": PowerState.RUNNING.value}
    servers.change(tx, server.id, fault=None, launched_at=clock.utcnow(), **values)


def drop_image(cloud: Cloud, tx: Tx, server_id: str) -> None:
    """Delete the image that the server rests as, if there is one."""
    kept = store.find(tx, server_id)
    if kept.shelved_image_id is not None:
        cloud.contracts.use(ImageContract).delete(tx, kept.shelved_image_id)


def _leave(cloud: Cloud, tx: Tx, server_id: str, request_id: str) -> None:
    servers.change(tx, server_id, task_state=TaskState.SHELVING_OFFLOADING.value)
    cloud.sagas.start(tx, life.SHELVE_OFFLOAD.flow, server_id, {}, request_id)


def _leave_if_shelved(cloud: Cloud, server_id: str, tx: Tx) -> None:
    server = servers_store.find(tx, server_id)
    if server is not None and server.state is VmState.SHELVED and server.task_state is None:
        _leave(cloud, tx, server_id, ids.new_request_id())


def _check_host(source: Source, host: str, zone: str | None) -> None:
    hosts.check_exists(source, host)
    if zone is not None and hosts.zone_of(source, host) != zone:
        raise Conflict(f'Host "{host}" is not in the availability zone "{zone}".', code="UnshelveHostNotInAZ")
