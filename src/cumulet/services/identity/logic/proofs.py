# SPDX-License-Identifier: Apache-2.0
"""What every method of logging in has in common: what is handed to it, what it hands back, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import CumuletError, Forbidden
from cumulet.services.identity.logic.scopes import enabled_domain, lacks
from cumulet.services.identity.store import users
from cumulet.services.identity.types import ApplicationCredential, Bearer, Federation, User

# Methods by which somebody proves who they are themselves. A token by any other was lent to its bearer.
PRIMARY = frozenset({"external", "kerberos", "mapped", "openid", "password", "saml2", "token", "totp", "x509"})


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What a request to log in carries beside its body; `headers` have lower-case names, `client` is an address."""

    method: str = "POST"
    url: str = ""
    query_pairs: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    client: str = ""


NOTHING = Carried()


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's try to log in: the words for each method, the scope wanted (None: none was named)."""

    identity: Mapping[str, Any]
    scope: Any = None
    carried: Carried = NOTHING


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """A user who has been proven, and what the proof says of the token to come.

    `project_id` is the scope where the proof leaves no choice of one. `expires_at` is in seconds since the epoch.
    """

    user: User
    methods: tuple[str, ...]
    expires_at: int | None = None
    audit_chain_id: str | None = None
    credential: ApplicationCredential | None = None
    project_id: str | None = None
    access_token_id: str | None = None
    thumbprint: str | None = None
    federation: Federation | None = None


# Proves somebody by the words of one method.
Method = Callable[[Cloud, Mapping[str, Any], Attempt], Proven]


def find_user(source: Source, words: Mapping[str, Any]) -> User | None:
    """The user of `{"id": ...}` or `{"name": ..., "domain": ...}`."""
    user_id, name = words.get("id"), words.get("name")
    if not user_id and not name:
        raise lacks("id or name", "user")
    if not name:
        return users.find(source, str(user_id))
    if "domain" not in words:
        raise lacks("domain", "user")
    return users.find_by_name(source, str(name), enabled_domain(source, words["domain"]).id)


def is_delegated(bearer: Bearer) -> bool:
    """Whether the token was lent: by a trust, an application credential, an access token or an EC2 signature."""
    token = bearer.token
    return token.trust_id is not None or not token.methods or not PRIMARY.issuperset(token.methods)


def forbidden(reason: str) -> CumuletError:
    return Forbidden(f"You are not authorized to perform the requested action: {reason}.")
