# SPDX-License-Identifier: Apache-2.0
"""Identifiers, in the two spellings that OpenStack uses, and secrets."""

from __future__ import annotations

import random
import re
import secrets
import uuid

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def new_uuid() -> str:
    """A random UUID with dashes: servers, images, networks, volumes."""
    return str(uuid.uuid4())


def new_hex() -> str:
    """A random UUID as 32 hexadecimal digits: identity's own objects."""
    return uuid.uuid4().hex


def new_request_id() -> str:
    """`req-<uuid>`: unlike any other, but no secret, so it need not come from the system's source of randomness."""
    digits = f"{random.getrandbits(128):032x}"
    return f"req-{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID, with or without dashes."""
    return _UUID.fullmatch(text) is not None


def new_secret(length: int = 32) -> str:
    """A URL-safe random secret of about `length` * 4 / 3 characters, no dash in front: it may follow an option."""
    while (secret := secrets.token_urlsafe(length)).startswith("-"):
        pass
    return secret
