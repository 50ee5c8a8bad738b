# SPDX-License-Identifier: Apache-2.0
"""What a browser carries for us on its way through somebody else's log-in: sealed, and good for a short while."""

from __future__ import annotations

import base64
import os
from typing import TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized

SECRET = "identity.federation_states"  # noqa: S105  a name in the vault
LIFE = 600  # seconds for a log-in elsewhere

T = TypeVar("T")


def seal(cloud: Cloud, state: msgspec.Struct) -> str:
    return _fernet(cloud).encrypt_at_time(msgspec.json.encode(state), int(clock.now())).decode("ascii")


def unseal(cloud: Cloud, text: str, kind: type[T]) -> T:
    """The state again; Unauthorized for one that is not ours, of another kind, or too old."""
    try:
        plain = _fernet(cloud).decrypt_at_time(text.encode("ascii"), LIFE, int(clock.now()))
        return msgspec.json.decode(plain, type=kind)
    except (InvalidToken, msgspec.MsgspecError, UnicodeEncodeError):
        raise Unauthorized("The log-in has taken too long, or was not begun here.") from None


def _fernet(cloud: Cloud) -> Fernet:
    return Fernet(cloud.vault.get_or_make(SECRET, lambda: base64.urlsafe_b64encode(os.urandom(32))))
