# SPDX-License-Identifier: Apache-2.0
"""Images as compute needs them: whether a server can be made from one, and what is kept of it with the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.services.block_storage.contract import VolumeInfo
from cumulet.services.compute.logic import mappings
from cumulet.services.compute.logic.guest import hardware
from cumulet.services.compute.types import Flavor
from cumulet.services.image.contract import ImageContract

GIB = 1 << 30
FORMATS = ("qcow2", "raw")
# What block storage keeps of an image's file among its words.
_OF_FILE = ("image_id", "image_name", "size", "checksum", "container_format", "disk_format", "min_ram", "min_disk")
_PARTS = ("kernel_id", "ramdisk_id")
_NOT_FOUND = "Can not find requested image"


class Image(msgspec.Struct, kw_only=True):
    """An image that servers can be made from: `size` in bytes, `min_disk` in GiB, `min_ram` in MiB."""

    id: str
    name: str
    disk_format: str
    size: int
    min_disk: int
    min_ram: int
    properties: dict[str, str]

    def described(self) -> dict[str, Any]:
        """What is kept with the server, as microversion 2.98 shows it."""
        return {
            "name": self.name,
            "disk_format": self.disk_format,
            "min_disk": self.min_disk,
            "min_ram": self.min_ram,
            "properties": {name: value for name, value in self.properties.items() if name not in mappings.WORDS},
        }


def get_usable(cloud: Cloud, ctx: Context, image_id: str) -> Image:
    """An image that the caller may use and that is whole; Invalid otherwise."""
    try:
        found = cloud.contracts.use(ImageContract).get(cloud.db, ctx, image_id)
    except CumuletError as error:
        raise Invalid(_NOT_FOUND, code="ImageNotFound") from error
    if found.status != "active":
        raise Invalid(f"Image {image_id} is not active.", code="ImageNotActive")
    if found.disk_format not in FORMATS:
        raise Invalid(
            f"Image {image_id} is unacceptable: its disk format {found.disk_format} is none of {', '.join(FORMATS)}.",
            code="ImageUnacceptable",
        )
    _check_kernel(cloud, ctx, found.properties)
    return Image(
        id=found.id,
        name=found.name or "",
        disk_format=found.disk_format,
        size=found.size or 0,
        min_disk=found.min_disk,
        min_ram=found.min_ram,
        properties={name: str(value) for name, value in found.properties.items()},
    )


def _check_kernel(cloud: Cloud, ctx: Context, words: Mapping[str, str]) -> None:
    """Invalid where the image names a kernel or a first file system that its user may not see."""
    for part in filter(None, map(words.get, _PARTS)):
        try:
            found = cloud.contracts.use(ImageContract).get(cloud.db, ctx, part)
        except CumuletError as error:
            raise Invalid(_NOT_FOUND, code="ImageNotFound") from error
        if found.status != "active":
            raise Invalid(f"Image {part} is not active.", code="ImageNotActive")


def of_volume(volume: VolumeInfo) -> Image:
    """The system on a volume, by what block storage kept of the image that it came from."""
    words = volume.image_metadata
    return Image(
        id=words.get("image_id", ""),
        name=words.get("image_name", ""),
        disk_format=words.get("disk_format", ""),
        size=volume.size * GIB,
        min_disk=_count(words.get("min_disk")),
        min_ram=_count(words.get("min_ram")),
        # Whoever may write these words may not see every image.
        properties={name: value for name, value in words.items() if name not in (*_OF_FILE, *_PARTS)},
    )


def _count(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def check_fits(image: Image, flavor: Flavor) -> None:
    """Invalid where the flavor's memory is too small for the image, or they ask for hardware that cannot be."""
    if flavor.ram < image.min_ram:
        raise Invalid("Flavor's memory is too small for requested image.", code="FlavorMemoryTooSmall")
    hardware.check(flavor, image.properties, image.name, image.id)


def check_direct(image: Image) -> None:
    """Invalid for an image of which only a volume can be made: it is what an encrypted one holds, as it stands."""
    if image.properties.get("cinder_encryption_key_id"):
        reason = "Direct booting of an image uploaded from an encrypted volume is unsupported."
        raise Invalid(f"Image {image.id} is unacceptable: {reason}", code="ImageUnacceptable")


def check_volume(image: Image, size: int | None) -> None:
    """Invalid where a volume of `size` GiB, which may not be known yet, is too small for the image."""
    if size is not None and size < image.min_disk:
        raise Invalid(
            "Volume is smaller than the minimum size specified in image metadata. Volume size is "
            f"{size * GIB} bytes, minimum size is {image.min_disk * GIB} bytes.",
            code="VolumeSmallerThanMinDisk",
        )


def check_disk(image: Image, flavor: Flavor) -> None:
    """Invalid where the flavor's own disk is too small for the image; one of no size takes any."""
    if flavor.disk == 0:
        return
    if flavor.disk * GIB < image.size:
        raise Invalid(
            f"Flavor's disk is too small for requested image. Flavor disk is {flavor.disk * GIB} bytes, image is "
            f"{image.size} bytes.",
            code="FlavorDiskSmallerThanImage",
        )
    if flavor.disk < image.min_disk:
        raise Invalid(
            f"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is "
            f"{flavor.disk * GIB} bytes, minimum size is {image.min_disk * GIB} bytes.",
            code="FlavorDiskSmallerThanMinDisk",
        )
