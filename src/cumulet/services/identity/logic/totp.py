# SPDX-License-Identifier: Apache-2.0
"""The method `totp`: a passcode of six digits (RFC 6238, HMAC-SHA-1, 30 seconds) made from a secret that both know.

The secrets are the user's credentials of type `totp`: base32, with or without its padding. All passcodes that would do
are compared in full, so that the time of an answer tells nothing of them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic import accounts, credentials
from cumulet.services.identity.logic.proofs import Attempt, Proven, find_user
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.logic.scopes import enabled_domain, lacks
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import User

DIGITS = 6
PERIOD = 30  # seconds
TYPE = "totp"
_NOBODYS = base64.b32encode(b"what nobody knows   ").decode("ascii")


def prove(cloud: Cloud, words: Mapping[str, Any], attempt: Attempt) -> Proven:
    if not isinstance(words.get("user"), dict):
        raise lacks("user", "totp")
    try:
        user = find_user(cloud.db, words["user"])
    except Unauthorized:
        user = None
    said = words["user"].get("passcode")
    right = _is_right(said if isinstance(said, str) else "", _secrets(cloud, user), _moments(cloud))
    if user is None or not right or not accounts.is_enabled(cloud, user):
        raise refused()
    enabled_domain(cloud.db, {"id": user.domain_id})
    return Proven(user=user, methods=(TYPE,))


def passcode(secret: bytes, moment: float) -> str:
    """The six digits of the period that `moment` (seconds since the epoch) is in."""
    digest = hmac.digest(secret, struct.pack(">Q", int(moment) // PERIOD), "sha1")
    start = digest[-1] & 0xF
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def _moments(cloud: Cloud) -> list[float]:
    """A moment of each period whose passcode is taken: this one and some before."""
    return [clock.now() - PERIOD * back for back in range(cloud.settings.identity.totp_previous_windows + 1)]


def _is_right(said: str, secrets: Iterable[str], moments: list[float]) -> bool:
    right = False
    for secret in secrets:
        try:
            opened = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=False)
        except (binascii.Error, ValueError):
            continue
        for moment in moments:
            right |= hmac.compare_digest(passcode(opened, moment).encode(), said.encode("utf-8", "surrogatepass"))
    return right


def _secrets(cloud: Cloud, user: User | None) -> list[str]:
    """The user's secrets; for somebody unknown one that is nobody's, and is found after the same questions."""
    wanted = [Filter("user_id", user.id if user is not None else ""), Filter("type", TYPE)]
    found = [one.blob for one in credentials.find_all(cloud, wanted)]
    return found if user is not None else [_NOBODYS]
