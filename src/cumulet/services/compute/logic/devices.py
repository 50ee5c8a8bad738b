# SPDX-License-Identifier: Apache-2.0
"""The disks of a new server: whether what they are made from is there, the names that they get, their rows."""

from __future__ import annotations

import string

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.services.block_storage.contract import VolumeInfo, VolumesContract
from cumulet.services.compute.logic import mappings
from cumulet.services.compute.logic.mappings import ROOT, SWAP, DeviceRequest
from cumulet.services.compute.types import Device, LocalDisk, Server
from cumulet.services.image.contract import ImageContract

MIB_PER_GIB = 1024


def check(cloud: Cloud, ctx: Context, requests: list[DeviceRequest], *, several: bool) -> list[DeviceRequest]:
    """The same with the sizes of what is there already and types by their names; Invalid for what the caller has not.

    A server's own copy of an image is left out: it has no row. `several`: see `check_several`.
    """
    volume_ids = [each.source_id for each in requests if each.source_type == "volume"]
    if len(volume_ids) != len(set(volume_ids)):
        raise mappings.invalid("A volume is given twice.")
    return [_checked(cloud, ctx, each, several) for each in requests if each.is_volume or each.source_type == "blank"]


def check_several(volume: VolumeInfo, *, several: bool) -> None:
    """Invalid for a volume that more than one server may have, unless the caller knows of such."""
    if volume.multiattach and not several:
        raise Invalid(
            "Multiattach volumes are only supported starting with compute API version 2.60.",
            code="MultiattachNotSupportedOldMicroversion",
        )


def volume_of_root(cloud: Cloud, ctx: Context, request: DeviceRequest) -> VolumeInfo:
    """The volume that says what system is on the root disk: the disk itself, or the snapshot's origin.

    Invalid where it is not there or not bootable.
    """
    contract = cloud.contracts.use(VolumesContract)
    volume_id = request.source_id or ""
    if request.source_type == "snapshot":
        volume_id = _snapshot(cloud, ctx, volume_id)[0]
    found = contract.info(cloud.db, [volume_id]).get(volume_id)
    if found is None or (found.project_id != ctx.project_id and not ctx.is_admin):
        raise mappings.invalid(f"failed to get volume {volume_id}.", "InvalidBDMVolume")
    if not found.bootable:
        raise Invalid(f"Block Device {volume_id} is not bootable.", code="InvalidBDMVolumeNotBootable")
    return found


def rows(server: Server, requests: list[DeviceRequest]) -> list[Device]:
    """The devices of a new server, each with a name.

    Guests see the root disk first, then the flavor's empty disks, then volumes; the names follow. Whatever name was
    asked for is passed over, as by Nova's drivers for QEMU.
    """
    taken = {server.root_device_name}
    found: list[Device] = []
    locals_ = [each for each in requests if not each.is_volume]
    volumes = [each for each in requests if each.is_volume]
    for request in locals_:
        found.append(_row(server, request, _next(taken)))
    for _disk in _implied(server, found):
        _next(taken)
    for request in sorted(volumes, key=lambda each: (each.boot_index is None or each.boot_index < 0, each.boot_index)):
        found.append(_row(server, request, server.root_device_name if request.boot_index == ROOT else _next(taken)))
    return found


def free_name(taken: set[str]) -> str:
    """The first of /dev/vda, /dev/vdb... that is not taken."""
    letters = string.ascii_lowercase
    names = [*(f"/dev/vd{one}" for one in letters), *(f"/dev/vda{one}" for one in letters)]
    return next(name for name in names if name not in taken)


def names_of(server: Server, devices: list[Device]) -> set[str]:
    """The device names that a server's disks have."""
    taken = {server.root_device_name} | {each.device_name for each in devices}
    for _disk in _implied(server, devices):
        _next(taken)
    return taken


def local_disks(server: Server, devices: list[Device]) -> list[LocalDisk]:
    """The empty disks that live with a server: what was asked for, else the flavor's."""
    flavor = server.kind
    asked = [each for each in devices if each.destination_type == "local" and each.source_type == "blank"]
    ephemerals = [each for each in asked if each.guest_format != SWAP]
    usual = usual_filesystem(server)
    disks = [
        LocalDisk(
            name=f"ephemeral{index}",
            size=(each.volume_size or flavor.ephemeral) * MIB_PER_GIB,
            filesystem=each.guest_format or usual,
        )
        for index, each in enumerate(ephemerals)
    ]
    swaps = [_swap(each.volume_size or flavor.swap) for each in asked if each.guest_format == SWAP]
    return [disk for disk in [*disks, *swaps, *_implied(server, devices)] if disk.size]


def usual_filesystem(server: Server) -> str:
    """What Nova formats disks with, by the system in the guest."""
    return "ext4" if server.image.get("properties", {}).get("os_type") == "linux" else "vfat"


def _implied(server: Server, devices: list[Device]) -> list[LocalDisk]:
    """The flavor's empty disks that nobody asked for by themselves."""
    flavor = server.kind
    asked = {each.guest_format == SWAP for each in devices if each.destination_type == "local"}
    found: list[LocalDisk] = []
    if flavor.ephemeral and False not in asked:
        size = flavor.ephemeral * MIB_PER_GIB
        found.append(LocalDisk(name="ephemeral0", size=size, filesystem=usual_filesystem(server)))
    if flavor.swap and True not in asked:
        found.append(_swap(flavor.swap))
    return found


def _swap(size: int) -> LocalDisk:
    return LocalDisk(name=SWAP, size=size, filesystem=SWAP)


def _next(taken: set[str]) -> str:
    """Take the first free name."""
    name = free_name(taken)
    taken.add(name)
    return name


def _checked(cloud: Cloud, ctx: Context, request: DeviceRequest, several: bool) -> DeviceRequest:
    size, kind = request.volume_size, request.volume_type
    contract = cloud.contracts.use(VolumesContract)
    if kind:
        try:
            kind = contract.volume_type(cloud.db, ctx, kind)
        except NotFound as error:
            raise Invalid(f"Volume type {kind} could not be found.", code="VolumeTypeNotFound") from error
    if request.source_type == "volume":
        volume = _volume(cloud, ctx, request)
        check_several(volume, several=several)
        size = volume.size
    elif request.source_type == "snapshot":
        size = size or _snapshot(cloud, ctx, request.source_id or "")[1]
    elif request.source_type == "image":
        _check_image(cloud.db, cloud, ctx, request.source_id or "")
    return msgspec.structs.replace(request, volume_size=size, volume_type=kind)


def _volume(cloud: Cloud, ctx: Context, request: DeviceRequest) -> VolumeInfo:
    try:
        return cloud.contracts.use(VolumesContract).check(cloud.db, ctx, request.source_id or "")
    except CumuletError as error:
        if error.status == NotFound.status:
            raise mappings.invalid(f"failed to get volume {request.source_id}.", "InvalidBDMVolume") from error
        raise Invalid(error.message, code="InvalidVolume") from error


def _snapshot(cloud: Cloud, ctx: Context, snapshot_id: str) -> tuple[str, int]:
    """The id of a snapshot's volume, and its size in GiB."""
    try:
        found = cloud.contracts.use(VolumesContract).snapshot(cloud.db, ctx, snapshot_id)
    except CumuletError as error:
        raise mappings.invalid(f"failed to get snapshot {snapshot_id}.", "InvalidBDMSnapshot") from error
    return found.volume_id, found.size


def _check_image(source: Source, cloud: Cloud, ctx: Context, image_id: str) -> None:
    try:
        cloud.contracts.use(ImageContract).get(source, ctx, image_id)
    except CumuletError as error:
        raise mappings.invalid(f"failed to get image {image_id}.", "InvalidBDMImage") from error


def _row(server: Server, request: DeviceRequest, name: str) -> Device:
    return Device(
        id=ids.new_uuid(),
        server_id=server.id,
        source_type=request.source_type,
        source_id=request.source_id,
        destination_type=request.destination_type,
        volume_id=request.source_id if request.source_type == "volume" else None,
        attachment_id=None,
        boot_index=request.boot_index,
        device_name=name,
        volume_size=request.volume_size,
        volume_type=request.volume_type,
        delete_on_termination=request.delete_on_termination,
        guest_format=request.guest_format,
        tag=request.tag,
        attached=False,
        created_at=clock.utcnow(),
        disk_bus=request.disk_bus,
        device_type=request.device_type,
    )
