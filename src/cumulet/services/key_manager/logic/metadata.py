# SPDX-License-Identifier: Apache-2.0
"""The words that users keep beside a secret. Keys are in small letters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.key_manager.logic import secrets
from cumulet.services.key_manager.store import secrets as store
from cumulet.services.key_manager.types import SecretMetadatum

LONGEST = 255
_KEY = re.compile(r"[A-Za-z0-9_-]*")


def find_all(cloud: Cloud, secret_id: str) -> dict[str, str]:
    return store.metadata_of(cloud.db, secret_id)


def get(cloud: Cloud, secret_id: str, key: str) -> str:
    found = store.metadata_of(cloud.db, secret_id)
    if key not in found:
        raise _none()
    return found[key]


def replace_all(cloud: Cloud, secret_id: str, words: Mapping[str, Any]) -> None:
    """Put `words` in the place of all that there is."""
    new = {}
    for key, value in words.items():
        if not isinstance(value, str):
            raise Invalid("Invalid Metadata. Keys and Values must be Strings.")
        new[_clean(key)] = value

    def write(tx: Tx) -> None:
        secrets.get(tx, secret_id)
        store.remove_metadata(tx, secret_id)
        for key, value in new.items():
            store.set_metadatum(tx, SecretMetadatum(secret_id, key, value))

    cloud.db.write(write)


def add(cloud: Cloud, secret_id: str, key: str, value: str) -> str:
    """Add one word; its key as it is kept. Raises Conflict where there is such a key."""
    kept = _clean(key)

    def write(tx: Tx) -> None:
        secrets.get(tx, secret_id)
        if kept in store.metadata_of(tx, secret_id):
            raise Conflict("Conflict. Key in request is already in the secret metadata")
        store.set_metadatum(tx, SecretMetadatum(secret_id, kept, value))

    cloud.db.write(write)
    return kept


def change(cloud: Cloud, secret_id: str, named: str, key: str, value: str) -> str:
    """Replace the word `named` in the path, which `key` in the body must repeat; the key as it is kept."""
    kept = _clean(key)

    def write(tx: Tx) -> None:
        if named not in store.metadata_of(tx, secret_id):
            raise _none()
        if named != kept:
            raise Conflict("Key in request data does not match key in the request url.")
        store.set_metadatum(tx, SecretMetadatum(secret_id, kept, value))

    cloud.db.write(write)
    return kept


def remove(cloud: Cloud, secret_id: str, key: str) -> None:
    """Remove one word; one that is not there is no matter."""
    cloud.db.write(lambda tx: store.remove_metadatum(tx, secret_id, key))


def _clean(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise Invalid("Invalid Key. Key must be URL safe.")
    if len(key) > LONGEST:
        raise Invalid(f"Invalid Key. Key must not be longer than {LONGEST} characters.")
    return key.lower()


def _none() -> NotFound:
    return NotFound("Secret metadata not found.")
