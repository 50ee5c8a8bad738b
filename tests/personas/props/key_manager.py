# SPDX-License-Identifier: Apache-2.0
"""What the paths of the key manager name."""

from __future__ import annotations

from sqlalchemy import text

from cumulet.kernel import ids
from cumulet.kernel.db import sql
from personas.stage import Prop, Stage

WORDS = {"service": "image", "resource_type": "image", "resource_id": "i1"}
PERSON = {"name": "lb", "URL": "http://lb/1"}


def _target(stage: Stage, noun: str) -> Prop:
    owner = {"project_id": stage.cast.project_id, "creator_id": stage.cast.owner_id, "read_project_access": True}
    return {"target": {"target": {noun: owner}}}


def _consumer(stage: Stage, table: str, column: str, owner_id: str) -> str:
    """A consumer's id, which the API tells nowhere."""
    query = text(f"SELECT id FROM key_manager_{table}_consumer WHERE {column} = :owner").bindparams(owner=owner_id)
    return str(sql.scalar(stage.cloud.control.db, query))


def secret(stage: Stage) -> Prop:
    """One with a payload, a word and a consumer."""
    body = {"name": stage.suffix, "payload": "x", "payload_content_type": "text/plain"}
    key = stage.make("key_manager", "/secrets", body)["secret_ref"].rpartition("/")[2]
    stage.make("key_manager", f"/secrets/{key}/metadata", {"metadata": {"colour": "red"}}, method="PUT")
    stage.make("key_manager", f"/secrets/{key}/consumers", WORDS)
    consumer = _consumer(stage, "secret", "secret_id", key)
    return {"secret_id": key, "key": "colour", "consumer_id": consumer, **_target(stage, "secret")}


def unneeded(stage: Stage) -> Prop:
    """One that nobody needs."""
    key = stage.make("key_manager", "/secrets", {})["secret_ref"].rpartition("/")[2]
    return {"secret_id": key, **_target(stage, "secret")}


def container(stage: Stage) -> Prop:
    """One with a consumer."""
    made = stage.make("key_manager", "/containers", {"name": stage.suffix, "type": "generic"})
    key = made["container_ref"].rpartition("/")[2]
    stage.make("key_manager", f"/containers/{key}/consumers", PERSON)
    consumer = _consumer(stage, "container", "container_id", key)
    return {"container_id": key, "consumer_id": consumer, **_target(stage, "container")}


def order(stage: Stage) -> Prop:
    words = {"type": "key", "meta": {"algorithm": "aes", "bit_length": 128}}
    key = stage.make("key_manager", "/orders", words)["order_ref"].rpartition("/")[2]
    stage.until("key_manager", "/secrets", bool)
    return {"order_id": key, "hidden_but_from": (stage.cast.project_id,), **_target(stage, "order")}


def quota(stage: Stage) -> Prop:
    key = ids.new_hex()
    stage.make("key_manager", f"/project-quotas/{key}", {"project_quotas": {"cas": 1}}, "admin", "PUT")
    return {"project_id": key}


def store(stage: Stage) -> Prop:
    found = stage.make("key_manager", "/secret-stores", None, method="GET")["secret_stores"][0]
    return {"store_id": found["secret_store_ref"].rpartition("/")[2]}


def preferred(stage: Stage) -> Prop:
    """The store, chosen by those who may take their choice back."""
    found = store(stage)
    for who in ("admin", "other_admin"):
        stage.make("key_manager", f"/secret-stores/{found['store_id']}/preferred", None, who)
    return found


def transport_key(stage: Stage) -> Prop:
    """None that is there: there are none."""
    return {"key_id": ids.new_uuid()}


MAKERS = {
    "/secrets/{secret_id}": secret,
    "DELETE /secrets/{secret_id}": unneeded,
    "/containers/{container_id}": container,
    "/orders/{order_id}": order,
    "/project-quotas/{project_id}": quota,
    "/secret-stores/{store_id}": store,
    "DELETE /secret-stores/{store_id}/preferred": preferred,
    "/transport_keys/{key_id}": transport_key,
}
