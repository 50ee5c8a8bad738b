# SPDX-License-Identifier: Apache-2.0
"""Named secrets of the cloud itself, in the database that all replicas share, sealed under the master key.

Sealed is AES-256-GCM with the secret's name as associated data: a row that was moved to another name does not open. A
row says which master key it needs; see `kernel.master_key` for how keys are replaced.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, Float, MetaData, String, Table, Text, delete, select, update

from cumulet.kernel import clock
from cumulet.kernel.db import sql
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Source, Tx
from cumulet.kernel.master_key import MasterKeys, NoMasterKey

NONCE = 12  # bytes

metadata = MetaData()

secret = Table(
    "kernel_secret",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
)


class Vault:
    """The secrets in `db`, sealed under the keys in the file `master_key`, which the first secret makes.

    What is returned must never be logged. Every method may raise NoMasterKey.
    """

    def __init__(self, db: Database, master_key: Path) -> None:
        self._db = db
        self.keys = MasterKeys(master_key)

    def get(self, name: str, source: Source | None = None) -> bytes | None:
        """The secret, or None. Inside a `db.write`, `source` is its transaction."""
        sealed = self._sealed(source or self._db, name)
        return None if sealed is None else self._open(name, sealed)

    def change(self, name: str, change: Callable[[bytes | None], bytes]) -> bytes:
        """Replace the secret by what `change` makes of it (None: there is none yet); the new one, durable.

        Where somebody else was quicker, `change` is asked again with theirs.
        """
        while True:
            before = self._sealed(self._db, name)
            old = None if before is None else self._open(name, before)
            new = change(old)
            if new == old:
                return new
            after = self._seal(name, new)
            if self._db.write(lambda tx, b=before, a=after: _replace(tx, name, b, a)):  # type: ignore[misc]
                return new

    def get_or_make(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The secret; what `make` returns where there is none."""
        return self.change(name, lambda old: make() if old is None else old)

    def remove(self, name: str, tx: Tx | None = None) -> None:
        """Forget the secret, if there is one; within the caller's `tx`, or durable at once."""
        gone = delete(secret).where(secret.c.name == name)
        if tx is None:
            self._db.write(lambda own: sql.execute(own, gone))
        else:
            sql.execute(tx, gone)

    def reseal(self) -> int:
        """Seal everything under the master key that seals now; the number of secrets that were under another."""
        count = 0
        for name, sealed in self._all():
            if _key_of(sealed) != next(iter(self.keys.all())):
                again = self._seal(name, self._open(name, sealed))
                count += self._db.write(lambda tx, n=name, b=sealed, a=again: _replace(tx, n, b, a))  # type: ignore[misc]
        return count

    def used_keys(self) -> set[str]:
        """The names of the master keys that some secret needs."""
        return {_key_of(sealed) for _, sealed in self._all()}

    def _all(self) -> list[tuple[str, str]]:
        return [(name, sealed) for name, sealed in sql.tuples(self._db, select(secret.c.name, secret.c.sealed))]

    def _sealed(self, source: Source, name: str) -> str | None:
        sealed: str | None = sql.scalar(source, select(secret.c.sealed).where(secret.c.name == name))
        return sealed

    def _seal(self, name: str, plain: bytes) -> str:
        if not self.keys.are_there() and not self._all():
            self.keys.make()
        key_name, key = next(iter(self.keys.all().items()))
        nonce = os.urandom(NONCE)
        packed = nonce + AESGCM(key).encrypt(nonce, plain, name.encode())
        return f"{key_name}:{base64.b64encode(packed).decode('ascii')}"

    def _open(self, name: str, sealed: str) -> bytes:
        key_name, _, packed = sealed.partition(":")
        key = self.keys.all().get(key_name)
        if key is None:
            raise NoMasterKey(f"the secret {name} needs the master key {key_name}, which is not in this machine's file")
        try:
            raw = base64.b64decode(packed, validate=True)
            return AESGCM(key).decrypt(raw[:NONCE], raw[NONCE:], name.encode())
        except (InvalidTag, ValueError):
            raise NoMasterKey(f"the secret {name} was changed by somebody who does not hold the master key") from None


def _replace(tx: Tx, name: str, before: str | None, after: str) -> bool:
    """Put `after` where `before` still stands."""
    values = {"sealed": after, "changed_at": clock.now()}
    if before is None:
        tx.lock(f"vault:{name}")
        if sql.scalar(tx, select(secret.c.name).where(secret.c.name == name)) is not None:
            return False
        sql.execute(tx, secret.insert().values(name=name, **values))
        return True
    same = (secret.c.name == name, secret.c.sealed == before)
    return sql.execute(tx, update(secret).where(*same).values(values)) == 1


def _key_of(sealed: str) -> str:
    return sealed.partition(":")[0]
