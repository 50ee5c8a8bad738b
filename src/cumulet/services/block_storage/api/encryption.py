# SPDX-License-Identifier: Apache-2.0
"""`/types/{id}/encryption`, and `/volumes/{id}/encryption`."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common, volumes
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import encryption as logic
from cumulet.services.block_storage.logic import volume_types
from cumulet.services.block_storage.logic import volumes as volume_logic
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.types.encryption import TypeEncryption

_WORDS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "key_size": {"type": ["string", "integer", "null"], "minimum": 0, "maximum": common.INT_MAX},
        "provider": {"type": "string", "minLength": 0, "maxLength": 255},
        "control_location": {"enum": ["front-end", "back-end"]},
        "cipher": {"type": ["string", "null"], "minLength": 0, "maxLength": 255},
    },
    "additionalProperties": True,
}
_CREATE = common.wrapped("encryption", {**_WORDS, "required": ["provider", "control_location"]})
_UPDATE = common.wrapped("encryption", _WORDS)


def get_all(request: Request) -> Reply:
    kind = volume_types.get(request.cloud.db, request.ctx, request.params["type_id"])
    said = logic.of_type(kind)
    return Reply(200, {} if said is None else _view(kind.id, said))


def create(request: Request) -> Reply:
    type_id, said = request.params["type_id"], _said(request)

    def write(tx: Tx) -> TypeEncryption:
        return logic.create(request.cloud, tx, request.ctx, type_id, said)

    made = request.cloud.db.write(write)
    words = {**_sent(request), "volume_type_id": type_id, "encryption_id": made.encryption_id}
    return Reply(200, {"encryption": words})


def update(request: Request) -> Reply:
    type_id, said = request.params["type_id"], _said(request)
    request.cloud.db.write(lambda tx: logic.update(request.cloud, tx, request.ctx, type_id, said))
    return Reply(200, {"encryption": _sent(request)})


def get(request: Request) -> Reply:
    kind = volume_types.get(request.cloud.db, request.ctx, request.params["type_id"])
    key, shown = request.params["key"], _view(kind.id, logic.existing(kind))
    if key not in shown:
        words = f"Volume type encryption for type {kind.id} does not exist."
        raise NotFound(words, code="VolumeTypeEncryptionNotFound")
    return Reply(200, {key: shown[key]})


def delete(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.delete(tx, request.ctx, request.params["type_id"]))
    return Reply(202)


def of_volume(request: Request) -> Reply:
    volume = volume_logic.get(request.cloud.db, request.ctx, request.params["volume_id"])
    return Reply(200, logic.of_volume(request.cloud.db, volume))


def item_of_volume(request: Request) -> Reply:
    volume = volume_logic.get(request.cloud.db, request.ctx, request.params["volume_id"])
    found, key = logic.of_volume(request.cloud.db, volume), request.params["key"]
    if key not in found:
        raise NotFound("The resource could not be found.")
    return Reply(200, found[key])


def _said(request: Request) -> dict[str, Any]:
    """The fields that the request sets."""
    sent = _sent(request)
    return {name: sent[name] for name in logic.SHOWN if name in sent}


def _sent(request: Request) -> dict[str, Any]:
    sent = dict(request.body["encryption"])
    if sent.get("key_size") is not None:
        try:
            sent["key_size"] = int(sent["key_size"])
        except ValueError as error:
            raise invalid_input("key_size must be an integer.") from error
    return sent


def _view(type_id: str, said: TypeEncryption) -> dict[str, Any]:
    return {
        "volume_type_id": type_id,
        "encryption_id": said.encryption_id,
        **{name: getattr(said, name) for name in logic.SHOWN},
        "created_at": moment(said.created_at),
        "updated_at": moment(said.updated_at),
        "deleted": False,
        "deleted_at": None,
    }


_OF_TYPE = "/types/{type_id}/encryption"
_OF_VOLUME = "/volumes/{volume_id}/encryption"
_TYPE_RULE = "volume_extension:volume_type_encryption"
_VOLUME_RULE = "volume_extension:volume_encryption_metadata"
ROUTES = (
    route("GET", _OF_TYPE, get_all, f"{_TYPE_RULE}:get"),
    route("POST", _OF_TYPE, create, f"{_TYPE_RULE}:create", body=_CREATE),
    route("GET", f"{_OF_TYPE}/{{key}}", get, f"{_TYPE_RULE}:get"),
    route("PUT", f"{_OF_TYPE}/{{key}}", update, f"{_TYPE_RULE}:update", body=_UPDATE),
    route("DELETE", f"{_OF_TYPE}/{{key}}", delete, f"{_TYPE_RULE}:delete"),
    route("GET", _OF_VOLUME, of_volume, _VOLUME_RULE, target=volumes.target),
    route("GET", f"{_OF_VOLUME}/{{key}}", item_of_volume, _VOLUME_RULE, target=volumes.target),
)
