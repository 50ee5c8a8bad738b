# SPDX-License-Identifier: Apache-2.0
"""Images as sources of volumes."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.types import GIB, Volume
from cumulet.services.image.contract import ACTIVE, ImageContract, ImageInfo, NewImage

# What a host can turn into a volume.
FORMATS = frozenset({"raw", "qcow2"})
# What is not a property of an image but one of its fields.
_OWN = frozenset(
    {"image_id", "image_name", "checksum", "container_format", "disk_format", "min_disk", "min_ram", "size"}
)


def get(cloud: Cloud, source: Source, ctx: Context, reference: str) -> ImageInfo:
    """The image that `reference` (an id, or a URL that ends in one) names; Invalid for one that cannot be used."""
    image_id = reference.rsplit("/", 1)[-1]
    contract = cloud.contracts.use(ImageContract)
    if not ids.is_uuid(image_id):
        raise Invalid("Invalid image identifier or unable to access requested image.")
    try:
        return contract.get(source, ctx, image_id)
    except NotFound as error:
        raise Invalid("Invalid image identifier or unable to access requested image.") from error


def existing(cloud: Cloud, source: Source, ctx: Context, image_id: str) -> ImageInfo:
    """The image of that id; NotFound where the caller may see none."""
    try:
        return cloud.contracts.use(ImageContract).get(source, ctx, image_id)
    except NotFound as error:
        raise NotFound(f"Image {image_id} could not be found.", code="ImageNotFound") from error


def boot_snapshot(image: ImageInfo) -> str | None:
    """The snapshot of a volume that an image of a server which runs from a volume stands for."""
    try:
        disks = msgspec.json.decode(image.properties.get("block_device_mapping") or "[]", type=list[dict[str, Any]])
    except msgspec.DecodeError:
        return None
    roots = (disk for disk in disks if disk.get("source_type") == "snapshot" and disk.get("boot_index") == 0)
    return next((str(disk.get("snapshot_id")) for disk in roots), None)


def check(image: ImageInfo, size: int) -> None:
    """Raise Invalid unless a volume of `size` GiB can be made of the image."""
    if image.status != ACTIVE:
        raise invalid_input(f"Image {image.id} is not active.")
    if image.disk_format not in FORMATS or image.container_format != "bare":
        raise invalid_input(f"Image {image.id} is unacceptable: its format {image.disk_format} cannot become a volume.")
    needs = -(-max(image.virtual_size or 0, image.size or 0) // GIB)
    if needs > size:
        raise invalid_input(f"Size of specified image {needs}GB is larger than volume size {size}GB.")
    if image.min_disk > size:
        raise invalid_input(f"Volume size {size}GB cannot be smaller than the image minDisk size {image.min_disk}GB.")


def begin_upload(cloud: Cloud, tx: Tx, ctx: Context, volume: Volume, new: NewImage) -> str:
    """Make a queued image for the volume's content; its id. What the volume knows of its own image goes along."""
    known = volume.image_metadata or {}
    properties = {name: value for name, value in known.items() if name not in _OWN}
    words = msgspec.structs.replace(new, properties={**properties, **new.properties})
    return cloud.contracts.use(ImageContract).create(tx, ctx, words)


def check_upload(cloud: Cloud, ctx: Context, new: NewImage) -> None:
    """Forbidden unless the caller may make such an image."""
    cloud.contracts.use(ImageContract).check_create(ctx, new)


def is_made(cloud: Cloud, image_id: str) -> bool:
    """Whether the image has its content."""
    found = cloud.contracts.use(ImageContract).find(cloud.db, image_id)
    return found is not None and found.status == ACTIVE


def discard(cloud: Cloud, tx: Tx, image_id: str) -> None:
    """The content did not come: the image goes."""
    cloud.contracts.use(ImageContract).delete(tx, image_id)


def metadata(image: ImageInfo) -> dict[str, str]:
    """What a volume remembers of its image (`volume_image_metadata`)."""
    return {
        **image.properties,
        "image_id": image.id,
        "image_name": image.name or "",
        "checksum": image.checksum or "",
        "container_format": image.container_format or "",
        "disk_format": image.disk_format or "",
        "min_disk": str(image.min_disk),
        "min_ram": str(image.min_ram),
        "size": str(image.size or 0),
    }
