# SPDX-License-Identifier: Apache-2.0
"""Attaching volumes to servers and taking them off."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Invalid, NotFound, Unsupported
from cumulet.services.block_storage.contract import Connection, VolumesContract
from cumulet.services.compute.logic import actions, devices, servers
from cumulet.services.compute.logic.mappings import ROOT
from cumulet.services.compute.store import devices as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import Device, Server, VmState

ATTACH, DETACH = "compute.attach_volume", "compute.detach_volume"
MOST_DISKS = 26
_INVALID = "Invalid volume: "
_DEVICE = re.compile(r"(?:/dev/)?[a-zA-Z0-9]+")


def attached(source: Source, server: Server) -> list[Device]:
    """The server's volumes."""
    return [device for device in store.of_server(source, server.id) if device.volume_id is not None]


def get(source: Source, server: Server, volume_id: str) -> Device:
    found = store.find(source, server.id, volume_id)
    if found is None:
        raise NotFound(f"Instance {server.id} is not attached to volume {volume_id}", code="DiskNotFound")
    return found


def attach(
    cloud: Cloud,
    ctx: Context,
    server: Server,
    volume_id: str,
    *,
    device_name: str | None = None,
    tag: str | None = None,
    delete_on_termination: bool = False,
    several: bool = False,
) -> Device:
    """Claim the volume and begin to plug it in; the answer names the device.

    `several` says that the caller knows of volumes that more than one server may have.
    """
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "attach_volume", "attach_volume")
    volumes = cloud.contracts.use(VolumesContract)
    if tag and server.state is VmState.SHELVED_OFFLOADED:
        raise Invalid(
            "Tagged volume attachment is not supported for shelved-offloaded instances.",
            code="VolumeTaggedAttachToShelvedNotSupported",
        )
    _check_free(cloud, ctx, server, volume_id, several=several)

    def write(tx: Tx) -> Device:
        fresh = servers.get(tx, ctx, server.id)
        servers.check_state(fresh, "attach_volume", "attach_volume")
        claim = volumes.reserve(tx, ctx, volume_id, server.id)
        device = _new(tx, fresh, volume_id, device_name, claim.id)
        device.tag, device.delete_on_termination = tag, delete_on_termination
        store.add(tx, device)
        actions.begin(tx, ctx, server.id, "attach_volume")
        cloud.sagas.start(tx, ATTACH, server.id, {"device": device.id, "volume": volume_id}, ctx.request_id)
        return device

    return cloud.db.write(write)


def detach(cloud: Cloud, ctx: Context, server: Server, volume_id: str) -> None:
    """Begin to unplug a volume; Conflict or Invalid where it cannot be."""
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "detach_volume", "detach_volume")
    device = get(cloud.db, server, volume_id)
    if device.boot_index == ROOT:
        raise Invalid("Cannot detach a root device volume")
    volumes = cloud.contracts.use(VolumesContract)

    def write(tx: Tx) -> None:
        # Volumes of servers that are on no host are reserved: nobody has to let go of them.
        if device.attachment_id is not None and server.state is not VmState.SHELVED_OFFLOADED:
            # Where block storage forgot the claim already, the disk still has to be taken out.
            with contextlib.suppress(NotFound):
                volumes.begin_detach(tx, ctx, device.attachment_id)
        actions.begin(tx, ctx, server.id, "detach_volume")
        cloud.sagas.start(tx, DETACH, server.id, {"device": device.id, "volume": volume_id}, ctx.request_id)

    try:
        cloud.db.write(write)
    except CumuletError as error:
        words = error.message.removeprefix(_INVALID)
        raise Invalid(f"{_INVALID}{words}", code="InvalidVolume") from error


def _check_free(cloud: Cloud, ctx: Context, server: Server, volume_id: str, *, several: bool) -> None:
    """Refuse, in Nova's words, a volume that the caller has not, or that a server has already."""
    contract = cloud.contracts.use(VolumesContract)
    owners = [device.server_id for device in store.of_volume(cloud.db, volume_id)]
    known = contract.info(cloud.db, [volume_id]).get(volume_id)
    if owners and known is not None and (known.project_id == ctx.project_id or ctx.is_admin):
        if not known.multiattach:
            words = f"volume {volume_id} is already attached to instances: {' '.join(owners)}"
            raise Invalid(f"{_INVALID}{words}", code="InvalidVolume")
        if server.id in owners:
            raise Invalid(f"{_INVALID}volume {volume_id} already attached", code="InvalidVolume")
    info = contract.check(cloud.db, ctx, volume_id)
    devices.check_several(info, several=several)
    if info.multiattach and server.state is VmState.SHELVED_OFFLOADED:
        raise Invalid(
            "Attaching multiattach volumes is not supported for shelved-offloaded instances.",
            code="MultiattachToShelvedNotSupported",
        )


def change(cloud: Cloud, server: Server, volume_id: str, delete_on_termination: bool) -> None:
    """Say whether the volume goes when the server goes."""
    device = get(cloud.db, server, volume_id)
    cloud.db.write(lambda tx: store.change(tx, device.id, {"delete_on_termination": delete_on_termination}))


def connect(cloud: Cloud, server: Server, device: Device) -> Connection | None:
    """See that the server's host can open the volume, wherever it is; None where no claim on it is known."""
    if device.attachment_id is None:
        return None
    return cloud.contracts.use(VolumesContract).connect(device.attachment_id, server.host)


def connect_all(cloud: Cloud, server: Server) -> dict[str, Connection]:
    """The same for all of the server's volumes: the ways to those that are claimed, by their attachments."""
    found: dict[str, Connection] = {}
    for device in attached(cloud.db, server):
        connection = connect(cloud, server, device)
        if connection is not None and device.attachment_id is not None:
            found[device.attachment_id] = connection
    return found


def places(cloud: Cloud, server: Server) -> set[str]:
    """The hosts that have the server's volumes, as far as one host alone has them."""
    contract = cloud.contracts.use(VolumesContract)
    return {contract.place(cloud.db, str(each.volume_id)) for each in attached(cloud.db, server)} - {""}


def disconnect(cloud: Cloud, device: Device) -> None:
    """The server's host does not have the disk (any more): close its way there."""
    if device.attachment_id is not None:
        cloud.contracts.use(VolumesContract).disconnect(device.attachment_id)


def forget(cloud: Cloud, tx: Tx, device_id: str, attachment_id: str | None) -> None:
    """The server does not have the disk (any more)."""
    if attachment_id is not None:
        cloud.contracts.use(VolumesContract).detach(tx, attachment_id)
    store.remove(tx, device_id)


def plugged(cloud: Cloud, tx: Tx, server: Server, device: Device) -> None:
    """The server has the disk."""
    if device.attachment_id is not None:
        cloud.contracts.use(VolumesContract).attach(tx, device.attachment_id, server.host, device.device_name)
    store.change(tx, device.id, {"attached": True})


def find(source: Source, server_id: str, volume_id: str) -> tuple[Server | None, Device | None]:
    """The server and its disk, as far as they are still there."""
    return servers_store.find(source, server_id), store.find(source, server_id, volume_id)


def gone(cloud: Cloud, tx: Tx, server_id: str, volume_id: str) -> None:
    """Block storage took the volume away by force: the host unplugs it."""
    device = store.find(tx, server_id, volume_id)
    if device is not None:
        cloud.sagas.start(tx, DETACH, server_id, {"device": device.id, "volume": volume_id})


def resize(cloud: Cloud, server_id: str, volume_id: str, size: int, request_id: str, generation: int) -> bool:
    """Tell the server's host that the volume has `size` bytes now; False where no running server has it open.

    `generation` is that of the attachment that is meant. What the request `request_id` came to is noted among the
    server's actions.
    """
    server = servers_store.find(cloud.db, server_id)
    if server is None or not server.host:
        return False
    body: dict[str, Any] = {"id": server_id, "volume_id": volume_id, "size": size, "generation": generation}
    done = bool(cloud.hosts.call(server.host, "server.resize_disk", body)["done"])
    if done:
        cloud.db.write(lambda tx: _note_resize(tx, server, request_id))
    return done


def limit(cloud: Cloud, server_id: str, volume_id: str, limits: dict[str, int], generation: int) -> None:
    """Tell the server's host what it keeps the volume to from now on."""
    server = servers_store.find(cloud.db, server_id)
    if server is None or not server.host:
        return
    body: dict[str, Any] = {"id": server_id, "volume_id": volume_id, "limits": limits, "generation": generation}
    # A host of the release before knows no limits.
    with contextlib.suppress(Unsupported):
        cloud.hosts.call(server.host, "server.limit_disk", body)


def generation_of(cloud: Cloud, server_id: str, volume_id: str) -> int:
    """Of the server's attachment of the volume, for the host to know it by; 0 where there is none (any more)."""
    claims = cloud.contracts.use(VolumesContract).attachments_of(cloud.db, [server_id]).get(server_id, [])
    return next((claim.generation for claim in claims if claim.volume_id == volume_id), 0)


def _note_resize(tx: Tx, server: Server, request_id: str) -> None:
    actions.begin_of_service(tx, server, request_id, "extend_volume")
    actions.event_ended(tx, server.id, request_id, "compute_extend_volume", server.host)


def _new(tx: Tx, server: Server, volume_id: str, wanted: str | None, attachment_id: str) -> Device:
    present = store.of_server(tx, server.id)
    taken = devices.names_of(server, present)
    name = wanted
    if name is not None:
        if _DEVICE.fullmatch(name) is None:
            raise Invalid(f"The supplied device path ({name}) is invalid.", code="InvalidDevicePath")
        if name in taken:
            raise Conflict(f"The supplied device path ({name}) is in use.", code="DevicePathInUse")
    if len(taken) >= MOST_DISKS:
        raise Forbidden(
            f"The maximum allowed number of disk devices ({MOST_DISKS}) to attach to a single instance has been "
            "exceeded.",
            code="TooManyDiskDevices",
        )
    return Device(
        id=ids.new_uuid(),
        server_id=server.id,
        source_type="volume",
        source_id=volume_id,
        destination_type="volume",
        volume_id=volume_id,
        attachment_id=attachment_id,
        boot_index=None,
        # Names follow the order in which the guest finds its disks, whatever the caller would like.
        device_name=devices.free_name(taken),
        volume_size=None,
        volume_type=None,
        delete_on_termination=False,
        guest_format=None,
        tag=None,
        attached=False,
        created_at=clock.utcnow(),
        disk_bus=None,
        device_type=None,
    )
