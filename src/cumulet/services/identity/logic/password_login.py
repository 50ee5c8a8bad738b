# SPDX-License-Identifier: Apache-2.0
"""The method `password`: a user's name or id and password. An unknown user takes as long as a wrong password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic import passwords
from cumulet.services.identity.logic.proofs import Attempt, Proven, find_user, refused
from cumulet.services.identity.logic.scopes import enabled_domain, lacks
from cumulet.services.identity.store import users


def prove(cloud: Cloud, words: Mapping[str, Any], attempt: Attempt) -> Proven:
    if "user" not in words:
        raise lacks("user", "password")
    secret = words["user"].get("password")
    try:
        user = find_user(cloud.db, words["user"])
    except Unauthorized:
        passwords.waste("", cloud.settings.identity.bcrypt_rounds)
        raise
    hashed = users.password_of(cloud.db, user.id) if user is not None else None
    if user is None or hashed is None or not isinstance(secret, str) or len(secret) > passwords.LONGEST:
        passwords.waste("", cloud.settings.identity.bcrypt_rounds)
        raise refused()
    if not passwords.matches(secret, hashed.hash) or not user.enabled:
        raise refused()
    enabled_domain(cloud.db, {"id": user.domain_id})
    return Proven(user=user, methods=("password",))
