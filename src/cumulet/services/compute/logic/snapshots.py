# SPDX-License-Identifier: Apache-2.0
"""Making images of servers: a copy of the root disk, or snapshots of the volumes and an image that names them."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute.logic import actions, devices, mappings, servers
from cumulet.services.compute.logic.mappings import DeviceRequest
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.types import Device, LocalDisk, Server, TaskState, VmState
from cumulet.services.image.contract import ACTIVE, ImageContract, NewImage

CREATE_IMAGE, CREATE_VOLUME_IMAGE = "compute.create_image", "compute.create_volume_image"
# What describes the old image's file or life, not the system in it.
_NOT_INHERITED = ("signature", "img_", "cache_in_nova", "bittorrent", "os_glance", "owner_specified")


def create_image(cloud: Cloud, ctx: Context, server: Server, name: str, metadata: dict[str, str]) -> str:
    """Begin to make an image of the server's root disk; the image's id."""
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "create_image", "create_image")
    new = of_root(server, name, "snapshot", metadata)
    images = cloud.contracts.use(ImageContract)
    images.check_create(ctx, new)

    def write(tx: Tx) -> str:
        fresh = servers.get(tx, ctx, server.id)
        servers.check_state(fresh, "create_image", "create_image")
        image_id = images.create(tx, ctx, new)
        servers.begin_task(tx, fresh, TaskState.IMAGE_SNAPSHOT)
        actions.begin(tx, ctx, fresh.id, "createImage")
        cloud.sagas.start(tx, CREATE_IMAGE, fresh.id, {"image": image_id}, ctx.request_id)
        return image_id

    return cloud.db.write(write)


def of_root(server: Server, name: str, image_type: str, metadata: dict[str, str]) -> NewImage:
    """An image of the server's root disk, with what it says of itself; `image_type` is snapshot or backup."""
    words = {
        **_inherited(server),
        "image_type": image_type,
        "instance_uuid": server.id,
        "user_id": server.user_id,
        "base_image_ref": server.image_id,
        **metadata,
    }
    return _new(server, name, "qcow2", words)


def create_volume_image(cloud: Cloud, ctx: Context, server: Server, name: str, metadata: dict[str, str]) -> str:
    """Begin snapshots of all volumes, and an image without data that says how servers are made from them; its id.

    The image is active once the snapshots are whole. OverQuota where the project may have no more snapshots.
    """
    servers.check_state(server, "create_image", "create_image")
    _check_quiet(server)
    images = cloud.contracts.use(ImageContract)
    plain = _new(server, name, "raw", {**_inherited(server), "base_image_ref": server.image_id, **metadata})
    images.check_create(ctx, plain)

    def write(tx: Tx) -> str:
        fresh = servers.get(tx, ctx, server.id)
        servers.check_state(fresh, "create_image", "create_image")
        found = devices_store.of_server(tx, fresh.id)
        snapshots = _begin_snapshots(cloud, tx, ctx, name, found)
        known = cloud.contracts.use(VolumesContract).info(tx, list(snapshots))
        sizes = {volume.id: volume.size for volume in known.values()}
        words = {**plain.properties, **_disk_words(fresh, found, snapshots, sizes)}
        image_id = images.create(tx, ctx, msgspec.structs.replace(plain, properties=words))
        actions.begin(tx, ctx, fresh.id, "createImage")
        arguments = {"image": image_id, "snapshots": list(snapshots.values())}
        cloud.sagas.start(tx, CREATE_VOLUME_IMAGE, fresh.id, arguments, ctx.request_id)
        return image_id

    return cloud.db.write(write)


def is_made(cloud: Cloud, image_id: str) -> bool:
    """Whether the image has its content."""
    found = cloud.contracts.use(ImageContract).find(cloud.db, image_id)
    return found is not None and found.status == ACTIVE


def wait(cloud: Cloud, source: Source, snapshot_ids: list[str]) -> None:
    """Returns once the snapshots are whole; NotReady while one is being made, Conflict where one cannot be made."""
    contract = cloud.contracts.use(VolumesContract)
    for snapshot_id in snapshot_ids:
        contract.snapshot_ready(source, snapshot_id)


def drop(cloud: Cloud, tx: Tx, snapshot_ids: list[str], request_id: str) -> None:
    """The snapshots are of no use: no image names them."""
    contract = cloud.contracts.use(VolumesContract)
    for snapshot_id in snapshot_ids:
        contract.drop_snapshot(tx, snapshot_id, request_id)


def _check_quiet(server: Server) -> None:
    """Guests write on while snapshots of their volumes are taken; Invalid where the image says that they must not."""
    words = server.image.get("properties", {})
    if server.state is VmState.ACTIVE and words.get("os_require_quiesce", "").lower() in ("true", "yes", "1"):
        raise Invalid(f"Quiescing is not supported in instance {server.id}", code="InstanceQuiesceNotSupported")


def _new(server: Server, name: str, disk_format: str, words: dict[str, str]) -> NewImage:
    return NewImage(
        name=name,
        disk_format=disk_format,
        min_disk=max(server.kind.disk, int(server.image.get("min_disk", 0))),
        min_ram=int(server.image.get("min_ram", 0)),
        properties=words,
    )


def _inherited(server: Server) -> dict[str, str]:
    words: dict[str, str] = server.image.get("properties", {})
    return {
        key: value for key, value in words.items() if not key.startswith(_NOT_INHERITED) and key not in mappings.WORDS
    }


def _begin_snapshots(cloud: Cloud, tx: Tx, ctx: Context, name: str, found: list[Device]) -> dict[str, str]:
    """Snapshots of all volumes among the devices: volume to snapshot."""
    contract = cloud.contracts.use(VolumesContract)
    return {
        device.volume_id: contract.snapshot_for_image(tx, ctx, device.volume_id, f"snapshot for {name}")
        for device in found
        if device.volume_id is not None
    }


def _disk_words(
    server: Server, found: list[Device], snapshots: dict[str, str], sizes: dict[str, int]
) -> dict[str, str]:
    """What the image says of disks; volumes may have grown since the server got them, so `sizes` are today's."""
    usual = devices.usual_filesystem(server)
    empty = [_of_local(disk, index, usual) for index, disk in enumerate(devices.local_disks(server, found))]
    volumes = [
        _of_volume(device, snapshots[device.volume_id], sizes.get(device.volume_id))
        for device in found
        if device.volume_id is not None
    ]
    entries: list[dict[str, Any]] = [mappings.to_words(each) for each in [*empty, *volumes]]
    return {
        "root_device_name": server.root_device_name,
        "block_device_mapping": msgspec.json.encode(entries).decode(),
        "bdm_v2": "True",
    }


def _of_volume(device: Device, snapshot_id: str, size: int | None) -> DeviceRequest:
    return DeviceRequest(
        source_type="snapshot",
        destination_type="volume",
        source_id=snapshot_id,
        boot_index=device.boot_index,
        device_name=device.device_name,
        volume_size=size,
        delete_on_termination=device.delete_on_termination,
        disk_bus=device.disk_bus,
        device_type=device.device_type,
    )


def _of_local(disk: LocalDisk, index: int, usual: str) -> DeviceRequest:
    is_swap = disk.name == mappings.SWAP
    return DeviceRequest(
        source_type="blank",
        destination_type="local",
        boot_index=-1,
        device_name=f"/dev/vd{chr(ord('b') + index)}",
        volume_size=disk.size if is_swap else disk.size // devices.MIB_PER_GIB,
        guest_format=None if disk.filesystem == usual else disk.filesystem,
        device_type="disk",
        delete_on_termination=True,
    )
