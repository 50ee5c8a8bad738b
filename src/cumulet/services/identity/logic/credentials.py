# SPDX-License-Identifier: Apache-2.0
"""Secrets that are kept for users, sealed at rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson
from cryptography.fernet import InvalidToken

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.identity.logic import changes, keys, revocations
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.logic.scopes import lacks
from cumulet.services.identity.store import credentials as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Credential

FIELDS = ("user_id", "project_id", "type", "blob")
EC2 = "ec2"


def get(cloud: Cloud, source: Source, credential_id: str) -> Credential:
    """A credential with its blob opened."""
    found = store.find(source, credential_id)
    if found is None:
        raise NotFound(f"Could not find credential: {credential_id}.", code="CredentialNotFound")
    return _opened(cloud, source, found)


def find_all(cloud: Cloud, filters: Iterable[Filter] = ()) -> list[Credential]:
    """Credentials with their blobs opened."""
    return [_opened(cloud, cloud.db, one) for one in store.find_all(cloud.db, filters)]


def create(cloud: Cloud, words: Mapping[str, Any]) -> Credential:
    """Store a credential; one of type `ec2` is known by the hash of its access key."""
    ec2 = words["type"].lower() == EC2
    new = Credential(
        id=hashlib.sha256(_access_key(words["blob"]).encode()).hexdigest() if ec2 else ids.new_hex(),
        user_id=words["user_id"],
        project_id=words.get("project_id"),
        type=words["type"],
        blob=words["blob"],
        extra=changes.extras(words, FIELDS),
    )
    sealed = msgspec.structs.replace(new, blob=_seal(cloud, new.blob))

    news = Teller(cloud)

    def write(tx: Tx) -> None:
        if store.find(tx, new.id) is not None:
            raise Conflict(
                f"Conflict occurred attempting to store credential - Duplicate entry found with ID {new.id}."
            )
        store.add(tx, sealed)
        news.tell(tx, "credential", "created", new.id)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, credential_id: str, blob: str) -> Credential:
    """Replace what a credential holds."""
    sealed = _seal(cloud, blob)

    def write(tx: Tx) -> Credential:
        old = get(cloud, tx, credential_id)
        if old.type.lower() == EC2:
            _check_lender(old.blob, blob)
            revocations.changed(tx)  # the object store knows the old secret
        store.change(tx, credential_id, {"blob": sealed})
        return msgspec.structs.replace(old, blob=blob)

    return cloud.db.write(write)


def delete(cloud: Cloud, credential_id: str) -> None:
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        found = store.find(tx, credential_id)
        if found is None:
            raise NotFound(f"Could not find credential: {credential_id}.", code="CredentialNotFound")
        store.remove(tx, credential_id)
        if found.type.lower() == EC2:
            revocations.changed(tx)
        news.tell(tx, "credential", "deleted", credential_id)

    cloud.db.write(write)


def _access_key(blob: str) -> str:
    try:
        words = orjson.loads(blob)
    except orjson.JSONDecodeError:
        raise Invalid("Invalid blob in credential") from None
    if not words or not isinstance(words, dict):
        raise lacks("blob", "credential")
    if not isinstance(words.get("access"), str):
        raise lacks("access", "credential")
    return str(words["access"])


def _check_lender(old: str, new: str) -> None:
    """Whoever may change an access key may not change what it stands for."""
    _access_key(new)
    before, after = orjson.loads(old), orjson.loads(new)
    for name in ("trust_id", "app_cred_id", "access_token_id", "access_id"):
        if before.get(name) != after.get(name):
            raise Invalid(f"{name} can not be updated for credential")


def _seal(cloud: Cloud, blob: str) -> str:
    return keys.credentials(cloud).fernet().encrypt(blob.encode()).decode("ascii")


def _opened(cloud: Cloud, source: Source, sealed: Credential) -> Credential:
    ring, blob = keys.credentials(cloud), sealed.blob.encode("ascii")
    try:
        opened = ring.fernet(source).decrypt(blob)
    except InvalidToken:
        # Another process may have rotated the keys a moment ago.
        if not ring.read_again(source):
            raise
        opened = ring.fernet(source).decrypt(blob)
    return msgspec.structs.replace(sealed, blob=opened.decode())
