# SPDX-License-Identifier: Apache-2.0
"""The method `application_credential`: a secret that stands for a user in one project.

A secret that was right is remembered for MEMORY seconds, so that logging in with it again costs no password hash. What
is remembered names the stored hash too: a credential that is gone or has another secret is never found by it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import NotFound, Unauthorized
from cumulet.services.identity.logic import accounts, passwords
from cumulet.services.identity.logic.proofs import Attempt, Proven, find_user
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.logic.scopes import enabled_domain, lacks
from cumulet.services.identity.store import application_credentials, users
from cumulet.services.identity.types import ApplicationCredential

MEMORY = 300.0  # seconds
REMEMBERED = 4096  # secrets


class RightSecrets:
    """Which secrets were found to be right, by a keyed digest that is worth nothing outside this process."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def matches(self, credential: ApplicationCredential, secret: str) -> bool:
        """Whether `secret` is the credential's; costs a password hash unless it was found to be so lately."""
        said = f"{credential.id}\0{credential.hash}\0{secret}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, said, hashlib.sha256)
        now = time.monotonic()
        with self._lock:
            if self._until.get(digest, 0.0) > now:
                return True
        if not passwords.matches(secret, credential.hash):
            return False
        with self._lock:
            self._until[digest] = now + MEMORY
            self._until.move_to_end(digest)
            if len(self._until) > REMEMBERED:
                self._until.popitem(last=False)
        return True


def prove(cloud: Cloud, words: Mapping[str, Any], attempt: Attempt) -> Proven:
    if attempt.scope is not None:
        raise Unauthorized(
            "Error authenticating with application credential: Application credentials cannot request a scope.",
            code="ApplicationCredentialAuthError",
            identity={},
        )
    credential = _find(cloud, words)
    secret = words.get("secret")
    if credential is None or not isinstance(secret, str) or len(secret) > passwords.LONGEST:
        passwords.waste("", cloud.settings.identity)
        raise refused()
    user = users.find(cloud.db, credential.user_id)
    right = cloud.keep(RightSecrets).matches(credential, secret)
    if user is None or not accounts.is_enabled(cloud, user) or not right:
        raise refused()
    enabled_domain(cloud.db, {"id": user.domain_id})
    if credential.expires_at is not None and credential.expires_at <= clock.utcnow():
        raise refused()
    ends = int(credential.expires_at.replace(tzinfo=UTC).timestamp()) if credential.expires_at else None
    return Proven(
        user=user,
        methods=("application_credential",),
        expires_at=ends,
        credential=credential,
        project_id=credential.project_id,
    )


def _find(cloud: Cloud, words: Mapping[str, Any]) -> ApplicationCredential | None:
    source: Source = cloud.db
    if words.get("id"):
        found = application_credentials.find(source, str(words["id"]))
        if found is None:
            raise NotFound(f"Could not find Application Credential: {words['id']}.")
        return found
    if not words.get("name"):
        raise lacks("name or ID", "application credential")
    if "user" not in words:
        raise lacks("user", "application credential")
    try:
        user = find_user(source, words["user"])
    except Unauthorized:
        passwords.waste("", cloud.settings.identity)
        raise
    return application_credentials.find_by_name(source, user.id, str(words["name"])) if user is not None else None
