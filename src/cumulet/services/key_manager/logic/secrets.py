# SPDX-License-Identifier: Apache-2.0
"""Secrets: made with or without a payload, given one later, read, listed, deleted."""

from __future__ import annotations

import uuid

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict
from cumulet.services.key_manager.logic import keys, payloads, quotas
from cumulet.services.key_manager.logic.refusals import bad_id, issue, no_payload, no_secret
from cumulet.services.key_manager.logic.words import NewSecret
from cumulet.services.key_manager.store import acls, consumers
from cumulet.services.key_manager.store import keys as sealed
from cumulet.services.key_manager.store import secrets as store
from cumulet.services.key_manager.store.secrets import Filters
from cumulet.services.key_manager.types import Page, Payload, Secret, SecretConsumer

QUOTA = "secrets"


class Prepared(msgspec.Struct, frozen=True):
    """A secret that is sealed already and not yet in the database."""

    secret: Secret
    payload: Payload | None


def is_id(text: str) -> bool:
    """Whether `text` is spelled as the ids of this service are."""
    try:
        return str(uuid.UUID(text, version=4)) == text
    except ValueError:
        return False


def get(source: Source, secret_id: str) -> Secret:
    """A secret of whatever project: the caller's rights are a matter of policy."""
    if not is_id(secret_id):
        raise bad_id("secret")
    found = store.find(source, secret_id, clock.utcnow())
    if found is None:
        raise no_secret()
    return found


def find_all(cloud: Cloud, ctx: Context, filters: Filters, wanted: Page) -> tuple[list[Secret], int]:
    """What the caller may list, and how many there are altogether."""
    return store.find_all(cloud.db, ctx, filters, wanted, clock.utcnow())


def prepare(cloud: Cloud, ctx: Context, new: NewSecret) -> Prepared:
    """Seal a new secret of the caller's project; not in a `write`."""
    return prepare_for(cloud, ctx.project_id or "", ctx.user_id, new)


def prepare_for(cloud: Cloud, project_id: str, creator_id: str, new: NewSecret) -> Prepared:
    """Seal a new secret of a project; not in a `write`."""
    now = clock.utcnow()
    secret = Secret(
        id=ids.new_uuid(), project_id=project_id, creator_id=creator_id, name=new.name, secret_type=new.secret_type,
        expiration=new.expiration, algorithm=new.algorithm, bit_length=new.bit_length, mode=new.mode,
        content_type=None if new.plain is None else new.content_type, created_at=now, updated_at=now,
    )  # fmt: skip
    payload = None if new.plain is None else keys.ring(cloud).seal(project_id, secret.id, new.plain)
    return Prepared(secret, payload)


def add(tx: Tx, *prepared: Prepared) -> None:
    """Put prepared secrets into the database, past any quota."""
    store.add(tx, *(one.secret for one in prepared))
    sealed.add_payloads(tx, [one.payload for one in prepared if one.payload is not None])


def create(cloud: Cloud, ctx: Context, new: NewSecret) -> Secret:
    """Make a secret in the caller's project."""
    prepared = prepare(cloud, ctx, new)
    cloud.db.write(lambda tx: store_prepared(cloud, tx, prepared))
    return prepared.secret


def store_prepared(cloud: Cloud, tx: Tx, prepared: Prepared) -> None:
    """Put a prepared secret into the database. Raises OverQuota."""
    quotas.enforce(cloud, tx, prepared.secret.project_id, QUOTA, _count)
    add(tx, prepared)


def set_payload(cloud: Cloud, secret_id: str, sent: bytes, said: str, encoding: str | None) -> None:
    """Give a secret the payload that it lacks; `said` is its media type as the caller wrote it."""
    if not sent:
        raise issue("No data supplied to process.")
    payloads.check_size(sent)
    owner = _without_payload(cloud.db, secret_id)
    kind = payloads.media_type(said)
    plain = payloads.from_body(sent, kind, said, encoding)
    if not plain:
        raise issue("No data supplied to process.")
    payload = keys.ring(cloud).seal(owner.project_id, secret_id, plain)

    def write(tx: Tx) -> None:
        _without_payload(tx, secret_id)
        store.change(tx, secret_id, {"content_type": kind, "updated_at": clock.utcnow()})
        sealed.add_payloads(tx, [payload])

    cloud.db.write(write)


def payload(cloud: Cloud, source: Source, secret: Secret) -> bytes:
    """A secret's payload, opened. Raises NotFound where it has none."""
    found = sealed.payload_of(source, secret.id)
    if found is None:
        raise no_payload()
    return keys.ring(cloud).open(found, source)


def delete(cloud: Cloud, secret_id: str, *, even_if_needed: bool) -> None:
    """Delete a secret with all that belongs to it; Invalid while it has consumers, unless `even_if_needed`."""
    cloud.db.write(lambda tx: remove(tx, secret_id, even_if_needed=even_if_needed))


def remove(tx: Tx, secret_id: str, *, even_if_needed: bool) -> None:
    """Delete a secret within the caller's transaction."""
    get(tx, secret_id)
    if not even_if_needed and consumers.find_all(tx, SecretConsumer, [secret_id]):
        raise issue("Secret cannot be deleted as it has consumers.")
    forget(tx, secret_id)


def forget(tx: Tx, *secret_ids: str) -> None:
    """Remove secrets with all that belongs to them."""
    acls.remove(tx, *secret_ids)
    sealed.remove_payloads(tx, *secret_ids)
    store.remove(tx, *secret_ids)


def _without_payload(source: Source, secret_id: str) -> Secret:
    found = get(source, secret_id)
    if found.content_type is not None:
        raise Conflict("Secret already has data, cannot modify it.")
    return found


def _count(source: Source, project_id: str) -> int:
    return store.count(source, project_id, clock.utcnow())
