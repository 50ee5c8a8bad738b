# SPDX-License-Identifier: Apache-2.0
"""The secrets of consumers, request tokens and access tokens.

They are not stored: each is derived from what it belongs to, under one key in the vault. Whoever has taken the database
has none of them, and there is nothing to seal anew when the master key is replaced.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.types import AccessToken, Consumer, RequestToken

KEY = "identity.oauth1"
SIZE = 32  # bytes of the key; a secret has as many hexadecimal digits


class _Key:
    """The key, once it was read."""

    def __init__(self) -> None:
        self.value: bytes | None = None


def of(cloud: Cloud, owner: Consumer | RequestToken | AccessToken) -> str:
    """The secret of `owner`; not to be asked for inside a `db.write`."""
    kept = cloud.keep(_Key)
    if kept.value is None:
        kept.value = cloud.vault.get_or_make(KEY, lambda: os.urandom(SIZE))
    said = f"{type(owner).__name__}:{owner.id}".encode()
    return hmac.new(kept.value, said, hashlib.sha256).hexdigest()[:SIZE]
