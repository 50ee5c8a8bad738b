# SPDX-License-Identifier: Apache-2.0
"""`/os-assisted-volume-snapshots`"""

from __future__ import annotations

import msgspec

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import fields
from cumulet.services.compute.logic import assisted_snapshots as logic

_PATH = "/os-assisted-volume-snapshots"
_RULE = "os_compute_api:os-assisted-volume-snapshots"
_TEXT: fields.Fields = {"type": "string", "minLength": 1}
_INFO: fields.Fields = {
    "type": "object",
    "properties": {
        "snapshot_id": _TEXT,
        "type": {"type": "string", "enum": ["qcow2"]},
        "new_file": _TEXT,
        "id": _TEXT,
    },
    "required": ["snapshot_id", "type", "new_file"],
    "additionalProperties": False,
}
_CREATE = fields.body("snapshot", {"volume_id": _TEXT, "create_info": _INFO}, ["volume_id", "create_info"])
_DELETE = fields.query({"delete_info": fields.many({"type": "string"})}, closed_since=(2, 75))


class _DeleteInfo(msgspec.Struct):
    volume_id: str


def create(request: Request) -> Reply:
    """The snapshot is one inside the volume's file: `new_file`, which other drivers write on to, is not looked at."""
    said = request.body["snapshot"]
    info = said["create_info"]
    logic.begin(request.cloud, request.ctx, said["volume_id"], info["snapshot_id"], drop=False)
    return Reply(200, {"snapshot": {"id": info.get("id"), "volumeId": said["volume_id"]}})


def delete(request: Request) -> Reply:
    if "delete_info" not in request.query:
        raise Invalid("'delete_info'")
    try:
        info = msgspec.json.decode(request.query["delete_info"], type=_DeleteInfo)
    except msgspec.DecodeError as error:
        raise Invalid(str(error)) from error
    logic.begin(request.cloud, request.ctx, info.volume_id, request.params["snapshot_id"], drop=True)
    return Reply(204)


ROUTES = (
    Route("POST", _PATH, create, f"{_RULE}:create", body=_CREATE),
    Route("DELETE", _PATH + "/{snapshot_id}", delete, f"{_RULE}:delete", query=_DELETE),
)
