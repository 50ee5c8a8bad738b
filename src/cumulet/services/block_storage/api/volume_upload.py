# SPDX-License-Identifier: Apache-2.0
"""`os-volume_upload_image`: an image made of a volume."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common, volumes
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import images, keys, volume_types
from cumulet.services.block_storage.logic import volumes as logic
from cumulet.services.image.contract import NewImage

ACTION = "os-volume_upload_image"
VISIBILITY = (3, 1)

_BODY = common.wrapped(
    ACTION,
    {
        "type": "object",
        "properties": {
            "image_name": {"type": "string", "minLength": 1, "maxLength": 255},
            "force": common.BOOLEAN,
            "disk_format": {"type": "string", "enum": ["raw", "vmdk", "vdi", "qcow2", "vhd", "vhdx", "ploop"]},
            "container_format": common.DESCRIPTION,
            "visibility": {
                "type": "string",
                "enum": ["community", "public", "private", "shared"],
                "since": VISIBILITY,
            },
            "protected": {**common.BOOLEAN, "since": VISIBILITY},
        },
        "required": ["image_name"],
        "additionalProperties": False,
    },
)


def upload(request: Request) -> Reply:
    said = request.body[ACTION]
    new = _image(request, said)
    force = common.truth(said.get("force", False), "force")
    images.check_upload(request.cloud, request.ctx, new)

    def write(tx: Tx, ready: keys.Ready) -> str:
        return logic.upload(request.cloud, tx, request.ctx, request.params["volume_id"], new, ready, force=force)

    image_id = keys.write(request.cloud, request.ctx, write)
    return Reply(202, {ACTION: _view(request, new, image_id)})


def _image(request: Request, said: dict[str, Any]) -> NewImage:
    disk_format, container = said.get("disk_format", "raw"), said.get("container_format") or "bare"
    if disk_format not in images.FORMATS or container != "bare":
        raise Invalid(f"An image of a volume cannot be in the formats {disk_format} and {container}.")
    visibility = said.get("visibility", "private")
    if visibility == "public":
        request.require("volume_extension:volume_actions:upload_public")
    protected = common.truth(said.get("protected", False), "protected")
    return NewImage(name=said["image_name"], disk_format=disk_format, visibility=visibility, protected=protected)


def _view(request: Request, new: NewImage, image_id: str) -> dict[str, Any]:
    source = request.cloud.db
    volume = logic.get(source, request.ctx, request.params["volume_id"])
    kind = volume_types.names(source).get(volume.volume_type_id)
    view: dict[str, Any] = {
        "id": volume.id,
        "updated_at": moment(volume.updated_at),
        "status": "uploading",
        "display_description": volume.description,
        "size": volume.size,
        "volume_type": {"id": volume.volume_type_id, "name": kind},
        "image_id": image_id,
        "container_format": new.container_format,
        "disk_format": new.disk_format,
        "image_name": new.name,
    }
    if request.version >= VISIBILITY:
        view |= {"visibility": new.visibility, "protected": new.protected}
    return view


ROUTES = (
    route(
        "POST",
        "/volumes/{volume_id}/action",
        upload,
        "volume_extension:volume_actions:upload_image",
        target=volumes.target,
        action=ACTION,
        body=_BODY,
    ),
)
