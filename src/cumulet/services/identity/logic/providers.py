# SPDX-License-Identifier: Apache-2.0
"""The two forms of a token's text: new ones are sealed in the one that the settings name, both are opened.

Fernet tokens are opaque and short. JSON Web Signatures can be read by anybody and checked with a public key alone.
"""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.logic import jws, keys, payloads
from cumulet.services.identity.logic.payloads import MOST, NotAToken
from cumulet.services.identity.types import Token


def seal(cloud: Cloud, token: Token) -> str:
    """The text of `token`."""
    if cloud.settings.identity.token_provider == "jws":  # noqa: S105  no secret
        return jws.seal(keys.signatures(cloud), token)
    return payloads.seal(keys.tokens(cloud), token)


def unseal(cloud: Cloud, text: str) -> Token:
    """What `text` says; raises NotAToken. Whether it has expired is for the caller to see."""
    if len(text) > MOST or not text.isascii():
        raise NotAToken
    try:
        return _unseal(cloud, text)
    except NotAToken:
        # Another process may have rotated the keys a moment ago.
        ring = keys.signatures(cloud) if "." in text else keys.tokens(cloud)
        if not ring.read_again():
            raise
        return _unseal(cloud, text)


def _unseal(cloud: Cloud, text: str) -> Token:
    if "." in text:
        return jws.unseal(keys.signatures(cloud), text)
    return payloads.unseal(keys.tokens(cloud), text)
