# SPDX-License-Identifier: Apache-2.0
"""`/volumes/{id}/action`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.block_storage.api import attachments, common, volumes
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import claims, contents, keys, manageable, migrations, outside, retyping
from cumulet.services.block_storage.logic import volumes as logic
from cumulet.services.block_storage.logic.refusals import invalid_input, invalid_volume
from cumulet.services.block_storage.types import AttachStatus, Volume, VolumeStatus

EXTEND_IN_USE = (3, 42)
CLUSTERS = (3, 16)  # from this version on, a volume can migrate to a cluster
REIMAGE = (3, 68)

_ADMIN = "volume_extension:volume_admin_actions"
_USER = "volume_extension:volume_actions"
_CONNECTOR = {"type": ["object", "string", "null"]}


def _body(action: str, required: tuple[str, ...] = (), **properties: Any) -> Any:
    document: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        document["required"] = list(required)
    document["additionalProperties"] = False
    return common.wrapped(action, document)


def _lower(text: str | None) -> str | None:
    return text.lower() if text is not None else None


def _volume(request: Request, source: Source) -> Volume:
    return logic.get(source, request.ctx, request.params["volume_id"])


def reserve(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: claims.mark_reserved(tx, _volume(request, tx)))
    return Reply(202)


def unreserve(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: claims.unreserve(tx, _volume(request, tx)))
    return Reply(202)


def begin_detaching(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: claims.begin_detaching(tx, _volume(request, tx)))
    return Reply(202)


def roll_detaching(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: claims.roll_detaching(tx, _volume(request, tx)))
    return Reply(202)


def attach(request: Request) -> Reply:
    said = request.body["os-attach"]
    server, host, mode = said.get("instance_uuid"), said.get("host_name"), said.get("mode", "rw")

    def write(tx: Tx) -> None:
        claims.attach(request.cloud, tx, _volume(request, tx), server, host, said["mountpoint"], mode)

    request.cloud.db.write(write)
    return Reply(202)


def detach(request: Request) -> Reply:
    attachment_id = (request.body["os-detach"] or {}).get("attachment_id")
    request.cloud.db.write(
        lambda tx: claims.detach(request.cloud, tx, request.ctx, _volume(request, tx), attachment_id)
    )
    outside.settle(request.cloud, request.params["volume_id"])
    return Reply(202)


def force_detach(request: Request) -> Reply:
    attachment_id = request.body["os-force_detach"].get("attachment_id")
    request.cloud.db.write(
        lambda tx: claims.force_detach(request.cloud, tx, request.ctx, _volume(request, tx), attachment_id)
    )
    outside.settle(request.cloud, request.params["volume_id"])
    return Reply(202)


def initialize_connection(request: Request) -> Reply:
    connector = request.body["os-initialize_connection"]["connector"]
    if not isinstance(connector, dict):
        raise Invalid("Invalid input for field/attribute connector.")
    way = outside.initialize(request.cloud, request.ctx, request.params["volume_id"], connector)
    volume = _volume(request, request.cloud.db)
    multipath = bool(connector.get("enforce_multipath", False))
    info = attachments.connection_info(request, volume, connector, way)
    return Reply(200, {"connection_info": {**info, "enforce_multipath": multipath}})


def terminate_connection(request: Request) -> Reply:
    connector = request.body["os-terminate_connection"]["connector"]

    def write(tx: Tx) -> None:
        volume = _volume(request, tx)
        claims.terminate(request.cloud, tx, request.ctx, volume)
        outside.terminate(tx, volume, connector)

    request.cloud.db.write(write)
    outside.settle(request.cloud, request.params["volume_id"])
    return Reply(202)


def extend(request: Request) -> Reply:
    size = int(request.body["os-extend"]["new_size"])
    volume_id = request.params["volume_id"]

    def write(tx: Tx) -> None:
        attached = request.version >= EXTEND_IN_USE
        logic.extend(request.cloud, tx, request.ctx, volume_id, size, attached=attached)

    request.cloud.db.write(write)
    return Reply(202)


def set_bootable(request: Request) -> Reply:
    bootable = common.truth(request.body["os-set_bootable"]["bootable"], "bootable")
    request.cloud.db.write(lambda tx: claims.set_bootable(tx, _volume(request, tx), bootable=bootable))
    return Reply(200)


def update_read_only(request: Request) -> Reply:
    read_only = common.truth(request.body["os-update_readonly_flag"]["readonly"], "readonly")
    request.cloud.db.write(lambda tx: claims.set_read_only(tx, _volume(request, tx), read_only=read_only))
    return Reply(202)


def reset_status(request: Request) -> Reply:
    said = request.body["os-reset_status"]
    status, attach_status, migration = (_lower(said.get(name)) for name in ("status", "attach_status", _MIGRATION))
    if not status and not attach_status and not migration:
        raise Invalid("Must specify 'status', 'attach_status' or 'migration_status' for update.")
    common.check_status("Volume", status, _STATUSES, frozenset(VolumeStatus))
    common.check_status("Volume attach", attach_status, _ATTACH_STATUSES, _ATTACH_STATUSES)
    common.check_status("Volume migration", migration, _MIGRATION_STATUSES, _MIGRATION_STATUSES)
    volume_id = request.params["volume_id"]

    def write(tx: Tx) -> None:
        claims.reset_status(request.cloud, tx, request.ctx, volume_id, status, attach_status, migration)

    request.cloud.db.write(write)
    if attach_status == AttachStatus.DETACHED:
        outside.settle(request.cloud, volume_id)
    return Reply(202)


def force_delete(request: Request) -> Reply:
    volume_id = request.params["volume_id"]
    request.cloud.db.write(lambda tx: logic.delete(request.cloud, tx, request.ctx, volume_id, force=True))
    return Reply(202)


def retype(request: Request) -> Reply:
    said, volume_id = request.body["os-retype"], request.params["volume_id"]
    may_move = said.get("migration_policy") == "on-demand"
    cloud, ctx, new_type = request.cloud, request.ctx, said["new_type"]
    keys.write(
        cloud, ctx, lambda tx, ready: retyping.retype(cloud, tx, ctx, volume_id, new_type, ready, may_move=may_move)
    )
    return Reply(202)


def migrate(request: Request) -> Reply:
    said, volume_id = request.body["os-migrate_volume"], request.params["volume_id"]
    clusters = request.version >= CLUSTERS
    cluster, host = said.get("cluster") if clusters else None, said.get("host")
    if bool(cluster) == bool(host):
        raise invalid_input(
            "One and only one of cluster and host must be set." if clusters else "Host field is missing."
        )
    lock = common.truth(said.get("lock_volume", False), "lock_volume")
    common.truth(said.get("force_host_copy", False), "force_host_copy")
    if cluster:
        _volume(request, request.cloud.db)
        raise Invalid(f"Invalid host: No available service named '{cluster}'", code="InvalidHost")
    request.cloud.db.write(lambda tx: migrations.migrate(request.cloud, tx, request.ctx, volume_id, host, lock=lock))
    return Reply(202)


def complete_migration(request: Request) -> Reply:
    said, volume_id = request.body["os-migrate_volume_completion"], request.params["volume_id"]
    error = bool(said.get("error", False))
    new_id = request.cloud.db.write(
        lambda tx: migrations.complete(request.cloud, tx, request.ctx, volume_id, said["new_volume"], error=error)
    )
    return Reply(200, {"save_volume_id": new_id})


def set_image_metadata(request: Request) -> Reply:
    said = request.body["os-set_image_metadata"]["metadata"]
    now = request.cloud.db.write(
        lambda tx: logic.set_image_metadata(tx, request.ctx, request.params["volume_id"], said)
    )
    return Reply(200, {"metadata": now})


def show_image_metadata(request: Request) -> Reply:
    volume = logic.get(request.cloud.db, request.ctx, request.params["volume_id"])
    return Reply(200, {"metadata": volume.image_metadata or {}})


def unset_image_metadata(request: Request) -> Reply:
    key = request.body["os-unset_image_metadata"]["key"]
    request.cloud.db.write(lambda tx: logic.remove_image_metadata(tx, request.ctx, request.params["volume_id"], key))
    return Reply(200)


def unmanage(request: Request) -> Reply:
    volume_id = request.params["volume_id"]
    request.cloud.db.write(lambda tx: manageable.unmanage(request.cloud, tx, request.ctx, volume_id))
    return Reply(202)


def revert(request: Request) -> Reply:
    volume_id, snapshot_id = request.params["volume_id"], request.body["revert"].get("snapshot_id")
    request.cloud.db.write(lambda tx: contents.revert(request.cloud, tx, request.ctx, volume_id, snapshot_id))
    return Reply(202)


def reimage(request: Request) -> Reply:
    said = request.body["os-reimage"]
    volume_id, reserved = request.params["volume_id"], common.truth(said.get("reimage_reserved", False), "bool")
    request.cloud.db.write(
        lambda tx: contents.reimage(request.cloud, tx, request.ctx, volume_id, said["image_id"], reserved=reserved)
    )
    return Reply(202)


def extend_completion(request: Request) -> Reply:
    """What compute says at the end of an extension that it was asked for; here it never is asked so."""
    if _volume(request, request.cloud.db).status != VolumeStatus.EXTENDING:
        raise invalid_volume("Volume is not being extended.")
    raise invalid_volume("Required volume admin metadata is malformed or missing.")


def _action(action: str, handler: Any, rule: str, body: Any = None, **more: Any) -> Route:
    schema = common.anything(action) if body is None else body
    path = "/volumes/{volume_id}/action"
    return route("POST", path, handler, rule, target=volumes.target, action=action, body=schema, **more)


_STATUS = {"type": ["string", "null"]}
_STATUSES = (
    "creating", "available", "deleting", "error", "error_deleting", "error_managing", "managing", "attaching", "in-use",
    "detaching", "maintenance", "restoring-backup", "error_restoring", "reserved", "awaiting-transfer", "backing-up",
    "error_backing-up", "error_extending", "downloading", "uploading", "retyping", "extending",
)  # fmt: skip
_ATTACH_STATUSES = ["attached", "detached"]
_MIGRATION = "migration_status"
_MIGRATION_STATUSES = ("migrating", "error", "success", "completing", "none", "starting")
_ATTACH = common.wrapped(
    "os-attach",
    {
        "type": "object",
        "properties": {
            "instance_uuid": common.UUID,
            "mountpoint": {"type": "string", "minLength": 1, "maxLength": 255},
            "host_name": {"type": "string", "maxLength": 255},
            "mode": {"type": "string", "enum": ["rw", "ro"]},
        },
        "required": ["mountpoint"],
        "anyOf": [{"required": ["instance_uuid"]}, {"required": ["host_name"]}],
        "additionalProperties": False,
    },
)
_DETACH = common.wrapped(
    "os-detach",
    {
        "type": ["object", "null"],
        "properties": {"attachment_id": common.UUID_OR_NULL},
        "additionalProperties": False,
    },
)
_ERROR = {"type": ["string", "null", "boolean"]}
_MIGRATE = common.wrapped(
    "os-migrate_volume",
    {
        "type": "object",
        "properties": {
            "host": {
                "versions": [
                    {"type": "string", "maxLength": 255, "until": (3, 15)},
                    {"type": ["string", "null"], "maxLength": 255, "since": CLUSTERS},
                ]
            },
            "force_host_copy": common.BOOLEAN,
            "lock_volume": common.BOOLEAN,
            "cluster": {**common.TEXT_OR_NULL, "since": CLUSTERS},
        },
        "required": [{"value": "host", "until": (3, 15)}],
        "additionalProperties": False,
    },
)
_REVERT = common.wrapped(
    "revert",
    {"type": "object", "properties": {"snapshot_id": {"type": ["string", "null"]}}, "additionalProperties": True},
)
_CONNECT = _body("os-initialize_connection", ("connector",), connector={"type": ["object", "string"]})

ROUTES = (
    _action("os-reserve", reserve, f"{_USER}:reserve"),
    _action("os-unreserve", unreserve, f"{_USER}:unreserve"),
    _action("os-begin_detaching", begin_detaching, f"{_USER}:begin_detaching"),
    _action("os-roll_detaching", roll_detaching, f"{_USER}:roll_detaching"),
    _action("os-attach", attach, f"{_USER}:attach", _ATTACH),
    _action("os-detach", detach, f"{_USER}:detach", _DETACH),
    _action(
        "os-force_detach", force_detach, f"{_ADMIN}:force_detach",
        _body("os-force_detach", connector=_CONNECTOR, attachment_id={"type": ["string", "null"]}),
    ),
    _action("os-initialize_connection", initialize_connection, f"{_USER}:initialize_connection", _CONNECT),
    _action(
        "os-terminate_connection", terminate_connection, f"{_USER}:terminate_connection",
        _body("os-terminate_connection", ("connector",), connector=_CONNECTOR),
    ),
    _action("os-extend", extend, "volume:extend", _body("os-extend", ("new_size",), new_size=common.SIZE)),
    _action(
        "os-set_bootable", set_bootable, "volume:update",
        _body("os-set_bootable", ("bootable",), bootable=common.BOOLEAN),
    ),
    _action(
        "os-update_readonly_flag", update_read_only, "volume:update_readonly_flag",
        _body("os-update_readonly_flag", ("readonly",), readonly=common.BOOLEAN),
    ),
    _action(
        "os-reset_status", reset_status, f"{_ADMIN}:reset_status",
        _body(
            "os-reset_status", status=_STATUS, attach_status=_STATUS, migration_status=_STATUS,
        ),
    ),
    _action("os-force_delete", force_delete, f"{_ADMIN}:force_delete"),
    _action(
        "os-set_image_metadata", set_image_metadata, "volume_extension:volume_image_metadata:set",
        _body("os-set_image_metadata", ("metadata",), metadata=common.METADATA),
    ),
    _action("os-show_image_metadata", show_image_metadata, "volume_extension:volume_image_metadata:show"),
    _action(
        "os-unset_image_metadata", unset_image_metadata, "volume_extension:volume_image_metadata:remove",
        _body("os-unset_image_metadata", ("key",), key={"type": "string", "minLength": 1, "maxLength": 255}),
    ),
    _action(
        "os-retype", retype, "volume:retype",
        _body(
            "os-retype", ("new_type",), new_type={"type": "string"},
            migration_policy={"type": ["string", "null"], "enum": ["on-demand", "never"]},
        ),
    ),
    _action("os-migrate_volume", migrate, f"{_ADMIN}:migrate_volume", _MIGRATE),
    _action(
        "os-migrate_volume_completion", complete_migration, f"{_ADMIN}:migrate_volume_completion",
        _body("os-migrate_volume_completion", ("new_volume",), new_volume=common.UUID, error=_ERROR),
    ),
    _action(
        "os-extend_volume_completion", extend_completion, f"{_ADMIN}:extend_volume_completion",
        _body("os-extend_volume_completion", error=_ERROR),
    ),
    _action("os-unmanage", unmanage, "volume_extension:volume_unmanage"),
    _action("revert", revert, "volume:revert_to_snapshot", _REVERT, since=(3, 40)),
    _action(
        "os-reimage", reimage, "volume:reimage",
        _body("os-reimage", ("image_id",), image_id=common.UUID, reimage_reserved=common.BOOLEAN), since=REIMAGE,
    ),
)  # fmt: skip
