# SPDX-License-Identifier: Apache-2.0
"""Sealing: each project has a key-encryption key of its own, itself sealed in the vault under the master key.

Sealed is AES-256-GCM with the ids of the key and of the payload's owner as associated data, so that a row that was
moved to another place does not open. A key that a rotation has retired still opens; it is forgotten when nothing is
under it any more, and never before PATIENCE has passed, in which what was sealed just before the rotation commits.
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import timedelta

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Database, Source, Tx
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.vault import Vault
from cumulet.services.key_manager.store import keys as store
from cumulet.services.key_manager.types import Key, Payload

LOG = logging.getLogger(__name__)

SIZE = 32  # bytes
NONCE = 12  # bytes
KNOWN = 1024  # keys that a process keeps opened
PATIENCE = timedelta(hours=1)
BATCH = 100  # payloads sealed anew at a time


class Unreadable(CumuletError):
    """A payload that its key does not open, or whose key is not there: the database was damaged."""


class Keyring:
    """The projects' keys as one process uses them; safe in any thread. Methods may raise NoMasterKey."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault
        self._known: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def seal(self, project_id: str, owner_id: str, plain: bytes) -> Payload:
        """The payload of the secret or order `owner_id`, sealed; the caller commits it soon. Not in a `write`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        active = store.active(self._db, project_id)
        key_id = active.id if active is not None else self._new(project_id)
        nonce = os.urandom(NONCE)
        sealed = AESGCM(self._key(key_id)).encrypt(nonce, plain, _bound(key_id, owner_id))
        return Payload(owner_id, key_id, nonce + sealed)

    def open(self, payload: Payload, source: Source | None = None) -> bytes:
        """What was sealed. Inside a `db.write`, `source` is its transaction. Raises Unreadable."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = AESGCM(self._key(payload.key_id, source))
        try:
            return key.decrypt(payload.sealed[:NONCE], payload.sealed[NONCE:], _bound(payload.key_id, payload.id))
        except (InvalidTag, ValueError):
            LOG.error("the payload of %s does not open with the key %s", payload.id, payload.key_id)
            raise Unreadable(f"The payload of {payload.id} does not open.") from None

    def rotate(self) -> int:
        """Give every project a new key and seal all payloads under it; how many. A killed rotation may be repeated."""
        for project_id in store.projects(self._db):
            active = store.active(self._db, project_id)
            self._new(project_id, instead_of=active.id if active is not None else None)
        return self.reseal()

    def reseal(self) -> int:
        """Seal anew what is under retired keys; how many payloads."""
        count = 0
        while batch := store.under_retired(self._db, BATCH):
            for payload, project_id in batch:
                again = self.seal(project_id, payload.id, self.open(payload))
                count += self._db.write(lambda tx, p=payload, a=again: store.replace_payload(tx, p, a))  # type: ignore[misc]
        return count

    def prune(self) -> int:
        """Forget the retired keys that have been idle for long; how many."""
        idle = store.idle(self._db, clock.utcnow() - PATIENCE)
        return sum(self._db.write(lambda tx, k=key_id: self._forget(tx, k)) for key_id in idle)  # type: ignore[misc]

    def check(self, key_id: str) -> None:
        """Raise Unreadable or NoMasterKey where a key's bytes are not to be had."""
        self._key(key_id)

    def _forget(self, tx: Tx, key_id: str) -> bool:
        """Forget a key unless something needs it after all."""
        removed = store.remove(tx, key_id)
        if removed:
            self._vault.remove(_name(key_id), tx)
        return removed

    def _new(self, project_id: str, instead_of: str | None = None) -> str:
        """Make a key that seals for the project; its id, or that of one which somebody else was quicker to make."""
        new = Key(ids.new_uuid(), project_id, clock.utcnow(), None)
        self._vault.get_or_make(_name(new.id), lambda: os.urandom(SIZE))

        def write(tx: Tx) -> str:
            tx.lock(f"key_manager:key:{project_id}")
            active = store.active(tx, project_id)
            if active is not None and active.id != instead_of:
                return active.id
            if active is not None:
                store.retire(tx, active.id, new.created_at)
            store.add(tx, new)
            return new.id

        made = self._db.write(write)
        if made != new.id:
            self._vault.remove(_name(new.id))
        return made

    def _key(self, key_id: str, source: Source | None = None) -> bytes:
        found = self._known.get(key_id)
        if found is None:
            found = self._vault.get(_name(key_id), source)
            if found is None:
                raise Unreadable(f"The key {key_id} is not in the vault.")
            with self._lock:
                if len(self._known) >= KNOWN:
                    self._known.clear()
                self._known[key_id] = found
        return found


class _Kept:
    """Where a process keeps its ring."""

    def __init__(self) -> None:
        self.ring: Keyring | None = None


def ring(cloud: Cloud) -> Keyring:
    """This process's ring."""
    kept = cloud.keep(_Kept)
    if kept.ring is None:
        kept.ring = Keyring(cloud.db, cloud.vault)
    return kept.ring


def _name(key_id: str) -> str:
    return f"key_manager.key.{key_id}"


def _bound(key_id: str, owner_id: str) -> bytes:
    return f"key_manager:{key_id}:{owner_id}".encode()
