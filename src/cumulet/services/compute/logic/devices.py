# SPDX-License-Identifier: Apache-2.0
"""The disks that a new server asks for (block device mappings), and the names that disks get."""

from __future__ import annotations

import string

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute.types import Device, Flavor, LocalDisk, Server

ROOT = 0
MIB_PER_GIB = 1024
SWAP = "swap"


class DeviceRequest(msgspec.Struct, kw_only=True):
    """One disk: `source_type` volume, image, snapshot or blank; `destination_type` local or volume; size in GiB."""

    source_type: str
    destination_type: str
    source_id: str | None = None
    boot_index: int | None = None
    device_name: str = ""
    volume_size: int | None = None
    volume_type: str | None = None
    delete_on_termination: bool = False
    guest_format: str | None = None
    tag: str | None = None


def check(cloud: Cloud, ctx: Context, requests: list[DeviceRequest], has_image: bool) -> list[DeviceRequest]:
    """Refuse combinations that make no server; an image's own entry among the requests is left out of the answer."""
    kept = [each for each in requests if not (each.source_type == "image" and each.destination_type == "local")]
    indexes = sorted(each.boot_index for each in kept if each.boot_index is not None and each.boot_index >= 0)
    if has_image and ROOT in indexes:
        raise _invalid("Boot sequence for the instance and image/block device mapping combination is not valid.")
    if not has_image and len(kept) < len(requests):
        raise Invalid("Invalid imageRef provided.")
    expected = list(range(1, len(indexes) + 1)) if has_image else list(range(len(indexes)))
    if indexes != expected or (not has_image and ROOT not in indexes):
        raise _invalid("Boot sequence for the instance and image/block device mapping combination is not valid.")
    volume_ids = [each.source_id for each in kept if each.source_type == "volume"]
    if len(volume_ids) != len(set(volume_ids)):
        raise _invalid("A volume is given twice.")
    for each in kept:
        _check_one(cloud, ctx, each)
    return kept


def rows(server: Server, requests: list[DeviceRequest]) -> list[Device]:
    """The devices of a new server, each with a name; those of the flavor's own disks are not among them."""
    taken = {server.root_device_name} if server.image_id else set()
    taken |= {each.device_name for each in requests if each.device_name}
    found: list[Device] = []
    for request in sorted(requests, key=lambda each: (each.boot_index is None or each.boot_index < 0, each.boot_index)):
        name = server.root_device_name if request.boot_index == ROOT else (request.device_name or free_name(taken))
        taken.add(name)
        found.append(_row(server, request, name))
    return found


def free_name(taken: set[str]) -> str:
    """The first of /dev/vda, /dev/vdb... that is not taken."""
    letters = string.ascii_lowercase
    names = [*(f"/dev/vd{one}" for one in letters), *(f"/dev/vda{one}" for one in letters)]
    return next(name for name in names if name not in taken)


def names_of(server: Server, devices: list[Device]) -> set[str]:
    """The device names that a server's disks have."""
    flavor = server.kind
    own = {server.root_device_name} if server.image_id else set()
    taken = own | {each.device_name for each in devices}
    for _disk in local_disks(flavor, []):
        taken.add(free_name(taken))
    return taken


def local_disks(flavor: Flavor, devices: list[Device]) -> list[LocalDisk]:
    """The empty disks that live with a server: the flavor's, or what was asked for in their place."""
    asked = [each for each in devices if each.destination_type == "local" and each.source_type == "blank"]
    disks = [
        LocalDisk(name=f"ephemeral{index}", size=(each.volume_size or flavor.ephemeral) * MIB_PER_GIB)
        for index, each in enumerate(each for each in asked if each.guest_format != SWAP)
    ]
    if not disks and flavor.ephemeral:
        disks.append(LocalDisk(name="ephemeral0", size=flavor.ephemeral * MIB_PER_GIB))
    if flavor.swap:
        disks.append(LocalDisk(name=SWAP, size=flavor.swap))
    return [disk for disk in disks if disk.size]


def _check_one(cloud: Cloud, ctx: Context, request: DeviceRequest) -> None:
    if request.source_type == "volume":
        try:
            volume = cloud.contracts.use(VolumesContract).check(cloud.db, ctx, request.source_id or "")
        except CumuletError as error:
            raise Invalid(_volume_words(error, request), code="InvalidBDMVolume") from error
        if request.boot_index == ROOT and not volume.bootable:
            raise _invalid(f"Volume {volume.id} is not bootable.", "InvalidBDMVolumeNotBootable")
    elif request.destination_type == "volume" and request.source_type in ("blank", "image"):
        if not request.volume_size:
            raise _invalid(
                "Images with destination_type 'volume' need to have a non-zero size specified"
                if request.source_type == "image"
                else "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size"
            )
    elif request.destination_type == "local" and request.source_type != "blank":
        raise _invalid("Mapping snapshot to local is not supported." if request.source_type == "snapshot" else "local")


def _volume_words(error: CumuletError, request: DeviceRequest) -> str:
    if error.status == 404:
        return f"Block Device Mapping is Invalid: failed to get volume {request.source_id}."
    return error.message


def _invalid(words: str, code: str = "InvalidBDM") -> Invalid:
    return Invalid(f"Block Device Mapping is Invalid: {words}", code=code)


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
    )
