# SPDX-License-Identifier: Apache-2.0
"""Building a server anew from an image: it keeps its id, its ports and its volumes."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute.logic import images, keypairs, life, parts, personality, quotas, servers
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.types import Device, Server

ROOT = 0


class Rebuild(msgspec.Struct, kw_only=True):
    """What is wanted: `changes` are columns of the server; `key_name` counts where `sets_key`, None takes it away.

    `reimage` says that the root disk may be a volume that is written anew.
    """

    image_id: str
    changes: dict[str, Any] = {}
    sets_key: bool = False
    key_name: str | None = None
    files: list[personality.File] = []
    keep_ephemeral: bool = False
    reimage: bool = False


def rebuild(cloud: Cloud, ctx: Context, server_id: str, wanted: Rebuild) -> Server:
    """Begin; the server as it is now."""
    server = servers.get(cloud.db, ctx, server_id)
    life.check(ctx, server, life.REBUILD)
    changes = dict(wanted.changes)
    if wanted.sets_key:
        changes["keypair"] = keypairs.for_server(cloud.db, ctx, wanted.key_name)
    image = _image(cloud, ctx, wanted.image_id)
    images.check_direct(image)
    images.check_fits(image, server.kind)
    _check_nodes(cloud, server, image)
    root = None if server.image_id else _root(cloud, server)
    if root is None:
        images.check_disk(image, server.kind)
        changes |= {"image_id": image.id, "image": image.described()}
    else:
        _check_volume(cloud, wanted, root)
    if "metadata" in changes:
        quotas.check_metadata(cloud, cloud.db, server.project_id, len(changes["metadata"]))
    personality.check(cloud, cloud.db, server.project_id, wanted.files)
    if wanted.files:
        changes["config_drive"] = True
    reimages = root is not None and wanted.reimage
    arguments = {
        "keep_ephemeral": wanted.keep_ephemeral,
        "root": root.volume_id if root is not None and reimages else None,
        "files": personality.to_words(wanted.files),
        "image": {"id": image.id, "format": image.disk_format, "words": _words(image)},
    }

    def write(tx: Tx) -> Server:
        fresh = servers.get(tx, ctx, server_id)
        life.check(ctx, fresh, life.REBUILD)
        life.begin(cloud, tx, ctx, fresh, life.REBUILD, arguments, progress=0, **changes)
        return servers.get(tx, ctx, server_id)

    return cloud.db.write(write)


def _check_nodes(cloud: Cloud, server: Server, image: images.Image) -> None:
    """Invalid where the image would have the server on other nodes: it stays where it is."""
    if parts.of_server(cloud, server).nodes != parts.wanted(cloud, server.kind, image.properties).nodes:
        raise Invalid(
            "An instance's NUMA topology cannot be changed as part of a rebuild. The image provided is invalid for "
            "this instance.",
            code="ImageNUMATopologyRebuildConflict",
        )


def _image(cloud: Cloud, ctx: Context, image_id: str) -> images.Image:
    try:
        return images.get_usable(cloud, ctx, image_id)
    except Invalid as error:
        if error.code == "ImageNotFound":
            raise Invalid("Cannot find image for rebuild", code=error.code) from error
        raise


def _root(cloud: Cloud, server: Server) -> Device:
    return next(each for each in devices_store.of_server(cloud.db, server.id) if each.boot_index == ROOT)


def _check_volume(cloud: Cloud, wanted: Rebuild, root: Device) -> None:
    if wanted.changes.get("trusted_certs"):
        raise Invalid("Image certificate validation is not supported for volume-backed servers.")
    volume_id = root.volume_id or ""
    volume = cloud.contracts.use(VolumesContract).info(cloud.db, [volume_id]).get(volume_id)
    of_volume = "" if volume is None else volume.image_metadata.get("image_id", "")
    if of_volume != wanted.image_id and not wanted.reimage:
        raise Invalid(
            f"Image {wanted.image_id} is unacceptable: Unable to rebuild with a different image for a volume-backed "
            "server.",
            code="ImageUnacceptable",
        )


def _words(image: images.Image) -> dict[str, str]:
    """What block storage keeps of an image that a volume was made from."""
    plain = {
        "image_id": image.id,
        "image_name": image.name,
        "disk_format": image.disk_format,
        "min_disk": str(image.min_disk),
        "min_ram": str(image.min_ram),
        "size": str(image.size),
    }
    return {**image.properties, **plain}
