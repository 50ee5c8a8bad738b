# SPDX-License-Identifier: Apache-2.0
"""What the paths of block storage name."""

from __future__ import annotations

from personas.stage import Prop, Stage

SPEC = "multiattach"  # one of the few that everybody may see


def owned(stage: Stage, **parameters: str) -> Prop:
    owner = {"project_id": stage.cast.project_id, "user_id": stage.cast.owner_id}
    return {**parameters, "target": owner, "hidden_but_from": (stage.cast.project_id,)}


def new_volume(stage: Stage) -> str:
    words = {"volume": {"size": 1, "metadata": {"key": "value"}}}
    key = str(stage.make("block_storage", "/volumes", words)["volume"]["id"])
    stage.until("block_storage", f"/volumes/{key}", lambda answer: answer["volume"]["status"] == "available")
    return key


def volume(stage: Stage) -> Prop:
    return owned(stage, volume_id=new_volume(stage), meta_key="key", key="encryption_key_id")


def snapshot(stage: Stage) -> Prop:
    words = {"snapshot": {"volume_id": new_volume(stage), "metadata": {"key": "value"}}}
    key = str(stage.make("block_storage", "/snapshots", words)["snapshot"]["id"])
    stage.until("block_storage", f"/snapshots/{key}", lambda answer: answer["snapshot"]["status"] == "available")
    return owned(stage, snapshot_id=key, meta_key="key")


def attachment(stage: Stage) -> Prop:
    words = {"attachment": {"volume_uuid": new_volume(stage)}}
    found = stage.make("block_storage", "/attachments", words)["attachment"]
    return owned(stage, attachment_id=found["id"])


def transfer(stage: Stage) -> Prop:
    words = {"transfer": {"volume_id": new_volume(stage), "name": "given"}}
    found = stage.make("block_storage", "/volume-transfers", words)["transfer"]
    return owned(stage, transfer_id=found["id"])


def gift(stage: Stage) -> Prop:
    """A transfer, which is for whoever knows its key."""
    return {"transfer_id": transfer(stage)["transfer_id"]}


def private_type(stage: Stage) -> Prop:
    words = {"volume_type": {"name": f"type-{stage.suffix}", "os-volume-type-access:is_public": False}}
    return {"type_id": stage.make("block_storage", "/types", words, "admin")["volume_type"]["id"]}


def volume_type(stage: Stage) -> Prop:
    words = {"volume_type": {"name": f"type-{stage.suffix}", "extra_specs": {SPEC: "<is> True"}}}
    found = stage.make("block_storage", "/types", words, "admin")["volume_type"]
    return {"type_id": found["id"], "key": SPEC}


def default_type(stage: Stage) -> Prop:
    key = stage.cast.project_id
    words = {"default_type": {"volume_type": volume_type(stage)["type_id"]}}
    stage.make("block_storage", f"/default-types/{key}", words, "admin", "PUT")
    return {"owner_id": key}


def project(stage: Stage) -> Prop:
    key = stage.cast.project_id
    return {"owner_id": key, "target": {"project_id": key}}


def other_project(stage: Stage) -> Prop:
    """One whose limits nobody needs."""
    key = stage.cast.other_project_id
    return {"owner_id": key, "target": {"project_id": key}}


def message(stage: Stage) -> Prop:
    """What was said of a volume that could not be made: its type asks for a backend that there is not."""
    words = {"name": f"type-{stage.suffix}", "extra_specs": {"volume_backend_name": "none"}}
    kind = stage.make("block_storage", "/types", {"volume_type": words}, "admin")["volume_type"]
    body = {"volume": {"size": 1, "volume_type": kind["name"]}}
    key = stage.make("block_storage", "/volumes", body)["volume"]["id"]
    stage.until("block_storage", f"/volumes/{key}", lambda answer: answer["volume"]["status"] == "error")
    found = stage.make("block_storage", "/messages", None, method="GET")["messages"]
    return owned(stage, message_id=next(one["id"] for one in found if one["resource_uuid"] == key))


def host(stage: Stage) -> Prop:
    found = stage.until("block_storage", "/os-hosts", lambda answer: len(answer["hosts"]) > 1)["hosts"]
    return {"host": next(one["host_name"] for one in found if one["service"] == "cinder-volume")}


MAKERS = {
    "/volumes/{volume_id}": volume,
    "/snapshots/{snapshot_id}": snapshot,
    "/attachments/{attachment_id}": attachment,
    "/os-volume-transfer/{transfer_id}": transfer,
    "/volume-transfers/{transfer_id}": transfer,
    "POST /os-volume-transfer/{transfer_id}/accept": gift,
    "POST /volume-transfers/{transfer_id}/accept": gift,
    "/types/{type_id}": volume_type,
    "GET /types/{type_id}/os-volume-type-access": private_type,
    "/default-types/{owner_id}": default_type,
    "/os-quota-sets/{owner_id}": project,
    "PUT /os-quota-sets/{owner_id}": other_project,
    "DELETE /os-quota-sets/{owner_id}": other_project,
    "/os-quota-class-sets/{class_name}": lambda _stage: {"class_name": "default"},
    "PUT /os-quota-class-sets/{class_name}": lambda _stage: {"class_name": "nobody"},
    "/clusters/{cluster_name}": lambda _stage: {"cluster_name": "some"},
    "/os-hosts/{host}": host,
    "/capabilities/{host}": host,
    "/messages/{message_id}": message,
    "/extensions/{alias}": lambda _stage: {"alias": "os-hosts"},
}
