# SPDX-License-Identifier: Apache-2.0
"""Making images of servers."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Unsupported
from cumulet.services.compute.logic import actions, servers
from cumulet.services.compute.types import Server, TaskState
from cumulet.services.image.contract import ACTIVE, ImageContract, NewImage

CREATE_IMAGE = "compute.create_image"
# What describes the old image's file or life, not the system in it.
_NOT_INHERITED = ("signature", "img_", "cache_in_nova", "bittorrent", "os_glance", "owner_specified")


def create_image(cloud: Cloud, ctx: Context, server: Server, name: str, metadata: dict[str, str]) -> str:
    """Begin to make an image of the server's root disk; the image's id."""
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "create_image", "create_image")
    if not server.image_id:
        raise Unsupported("Images of servers that boot from a volume cannot be made yet; make one of the volume.")
    inherited = {
        key: value
        for key, value in dict(server.image.get("properties", {})).items()
        if not key.startswith(_NOT_INHERITED)
    }
    words = {
        **inherited,
        "image_type": "snapshot",
        "instance_uuid": server.id,
        "user_id": server.user_id,
        "base_image_ref": server.image_id,
        **metadata,
    }
    new = NewImage(
        name=name,
        min_disk=server.kind.disk,
        min_ram=int(server.image.get("min_ram", 0)),
        properties=words,
    )
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


def is_made(cloud: Cloud, image_id: str) -> bool:
    """Whether the image has its content."""
    found = cloud.contracts.use(ImageContract).find(cloud.db, image_id)
    return found is not None and found.status == ACTIVE
