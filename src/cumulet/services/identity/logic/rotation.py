# SPDX-License-Identifier: Apache-2.0
"""New keys for all rings, so that no session, no receipt and no stored credential is lost."""

from __future__ import annotations

from cryptography.fernet import InvalidToken

from cumulet.kernel.db import Database
from cumulet.kernel.vault import Vault
from cumulet.services.identity.logic import keys
from cumulet.services.identity.store import credentials
from cumulet.settings.identity import Identity


def rotate(db: Database, vault: Vault, settings: Identity, ring: str) -> int:
    """Make the staged key of a ring the primary one; its number.

    A key stays while something that it has sealed may be alive. Stored credentials are sealed anew, under the new key.
    """
    life = settings.receipt_lifetime if ring == keys.RECEIPTS else settings.token_lifetime
    keys.ensure(vault, ring)
    if ring == keys.CREDENTIALS:
        # What an interrupted rotation has left must not lose its key to this one.
        seal_credentials_anew(db, vault)
    number = keys.rotate(vault, ring, life=float(life + settings.allow_expired_window))
    if ring == keys.CREDENTIALS:
        seal_credentials_anew(db, vault)
    return number


def seal_credentials_anew(db: Database, vault: Vault) -> int:
    """Seal all stored credentials under the primary key; how many there were. One that does not open stays."""
    fernet = keys.KeyRing(vault, keys.CREDENTIALS).fernet()
    count = 0
    for one in credentials.find_all(db):
        try:
            again = fernet.rotate(one.blob.encode("ascii")).decode("ascii")
        except InvalidToken:
            continue
        count += db.write(lambda tx, one=one, again=again: credentials.seal_anew(tx, one.id, one.blob, again))  # type: ignore[misc]
    return count
